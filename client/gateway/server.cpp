// See server.hpp.
#include "client/gateway/server.hpp"

#include <cstdio>
#include <fstream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <spdlog/spdlog.h>

#include "client/gateway/connection.hpp"
#include "client/gateway/limits.hpp"

namespace understudy::gateway {

using asio::ip::tcp;

Server::Server(asio::io_context& context, GatewayConfiguration configuration)
    : context_(context), configuration_(std::move(configuration)), access_(configuration_.access_key, configuration_.observer_key),
      assets_(configuration_.pages, configuration_.novnc), desk_(context), acceptor_(context), sweep_wakeup_(context) {}

Server::~Server() = default;

Result<> Server::start() {
    error_code error;
    const auto address = asio::ip::make_address(configuration_.address, error);
    if (error) return failure(ErrorCode::invalid, "gateway.address \"" + configuration_.address + "\" is not an IP address");
    const tcp::endpoint endpoint(address, configuration_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        return failure(ErrorCode::failed, "cannot listen on " + configuration_.address + ":" +
                                              std::to_string(configuration_.port) + ": " + error.message() +
                                              "; is another gateway running? Choose another gateway.port");
    }
    port_ = acceptor_.local_endpoint().port();
    if (!address.is_loopback()) {
        spdlog::warn("listening on {}: the access key and all pictures cross the network in clear; let a proxy with TLS stand in front",
                     configuration_.address);
    }
    if (!configuration_.port_file.empty()) {
        // Renamed into place: whoever waits for the file never reads half a number.
        const std::string fresh = configuration_.port_file + ".new";
        std::ofstream(fresh) << port_ << "\n";
        if (std::rename(fresh.c_str(), configuration_.port_file.c_str()) != 0) {
            return failure(ErrorCode::failed, "cannot write gateway.port_file " + configuration_.port_file);
        }
    }
    if (auto opened = desk_.open(configuration_.manager); !opened) return opened;
    asio::co_spawn(context_, accept(), asio::detached);
    asio::co_spawn(context_, sweep(), asio::detached);
    return {};
}

void Server::stop() {
    stopped_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    sweep_wakeup_.wake();
    desk_.stop();
    for (const auto& [key, room] : rooms_) room->close_pages();
    rooms_.clear();
}

asio::awaitable<void> Server::accept() {
    while (!stopped_) {
        error_code error;
        tcp::socket socket = co_await acceptor_.async_accept(into(error));
        if (error) {
            if (stopped_) co_return;
            // Out of descriptors, most likely: give those that are open time to end.
            spdlog::warn("cannot accept a connection: {}", error.message());
            Wakeup pause(context_);
            co_await pause.wait_until(Clock::now() + std::chrono::milliseconds(100));
            continue;
        }
        if (connections_ >= configuration_.connections) {
            spdlog::warn("a connection was turned away: {} are open (gateway.connections)", connections_);
            continue;
        }
        asio::co_spawn(context_, serve(std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> Server::serve(tcp::socket socket) {
    ++connections_;
    try {
        co_await serve_connection(*this, std::move(socket));
    } catch (const std::exception& error) {
        // One connection must never take the others along.
        spdlog::error("a connection ended with: {}", error.what());
    }
    --connections_;
}

asio::awaitable<void> Server::sweep() {
    while (!stopped_) {
        co_await sweep_wakeup_.wait_until(Clock::now() + std::chrono::seconds(1));
        const auto now = Clock::now();
        std::erase_if(rooms_, [&](const auto& entry) {
            const auto since = entry.second->empty_since();
            if (!since || now - *since < configuration_.detach_after) return false;
            spdlog::info("terminal {}: no page any more, detached", entry.first.first);
            entry.second->leave();
            return true;
        });
    }
}

Result<std::shared_ptr<TerminalRoom>> Server::room(const std::string& terminal, const std::string& place) {
    const std::pair key(terminal, place);
    const auto found = rooms_.find(key);
    if (found != rooms_.end()) return found->second;
    if (rooms_.size() >= limits::kTerminals) return failure(ErrorCode::limit, "this gateway serves too many terminals already");
    auto room = std::make_shared<TerminalRoom>(context_, terminal);
    if (auto opened = room->open(configuration_.manager); !opened) return tl::unexpected(opened.error());
    rooms_[key] = room;
    return room;
}

}  // namespace understudy::gateway
