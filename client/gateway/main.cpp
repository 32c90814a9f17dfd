// understudy-gateway: pages, HTTP API and pictures over WebSocket. One thread runs everything; each
// link to the manager has one of its own.
#include <csignal>
#include <functional>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/version.hpp"
#include "client/gateway/account_command.hpp"
#include "client/gateway/configuration.hpp"
#include "client/gateway/server.hpp"

namespace {

using namespace understudy;

int run(const gateway::GatewayConfiguration& configuration) {
    gateway::asio::io_context context(1);
    gateway::Server server(context, configuration);
    if (const auto started = server.start(); !started) {
        std::cerr << "understudy-gateway: " << started.error().message << "\n";
        return 1;
    }
    // On standard output, for people and scripts alike.
    std::cout << server.introduction() << std::flush;
    gateway::asio::signal_set signals(context, SIGINT, SIGTERM);
    signals.async_wait([&](const gateway::error_code& error, int) {
        if (!error) server.stop();
    });
    gateway::asio::signal_set renewals(context, SIGHUP);
    std::function<void()> await_renewal = [&] {
        renewals.async_wait([&](const gateway::error_code& error, int) {
            if (error) return;
            server.renew_certificate();
            await_renewal();
        });
    };
    await_renewal();
    // Runs until stopped; afterwards open connections get a moment to end in order.
    while (!context.stopped() && server.running()) context.run_one();
    context.run_for(std::chrono::seconds(2));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Web gateway of the Understudy node manager: terminals and console in the browser."};
    app.set_version_flag("--version", std::string("understudy-gateway ") + understudy::kRelease);
    gateway::AccountCommand accounts;
    std::string& path = accounts.configuration;
    std::string address;
    int port = -1;
    std::string port_file;
    app.add_option("--config", path, "configuration file (default: as for understudy)")->type_name("FILE");
    app.add_option("--address", address, "listen here instead of gateway.address");
    app.add_option("--port", port, "listen here instead of gateway.port; 0: any free port")->check(CLI::Range(0, 65535));
    app.add_option("--port-file", port_file, "write the real port to this file")->type_name("FILE");
    app.fallthrough();
    gateway::add_account_commands(app, accounts);
    CLI11_PARSE(app, argc, argv);
    if (accounts.exit_code >= 0) return accounts.exit_code;
    std::signal(SIGPIPE, SIG_IGN);
    // Standard output is for what a script waits for; a script that has read it may stop reading.
    spdlog::set_default_logger(spdlog::stderr_color_mt("understudy-gateway"));
    const auto found = client::find_configuration(path);
    auto configuration = found ? gateway::load_gateway_configuration(*found) : tl::unexpected(found.error());
    if (!configuration) {
        std::cerr << "understudy-gateway: " << configuration.error().message << "\n";
        return 2;
    }
    if (!address.empty()) configuration->address = address;
    if (port >= 0) configuration->port = static_cast<std::uint16_t>(port);
    if (!port_file.empty()) configuration->port_file = port_file;
    return run(*configuration);
}
