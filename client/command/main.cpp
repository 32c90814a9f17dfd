// understudy: the admin command line. One thread, plus the link's.
#include <ctime>
#include <iomanip>
#include <iostream>

#include <CLI/CLI.hpp>

#include "base/version.hpp"
#include "client/command/describe.hpp"
#include "client/command/exit_codes.hpp"
#include "client/command/session.hpp"
#include "client/link/keys.hpp"

namespace {

using namespace understudy;
using namespace understudy::client;

int make_keys(const std::string& path) {
    const KeyPair keys = make_key_pair();
    const auto written = write_key_file(path, keys);
    if (!written) {
        std::cerr << "understudy: " << written.error().message << "\n";
        return exit_code_of(written.error().code);
    }
    std::cout << "Wrote " << path << " (readable by you alone).\nPublic key, to be entered with a role in the manager's "
              << "configuration:\n" << keys.public_key << "\n";
    return kExitDone;
}

int make_one_time_key(const std::string& path, int minutes) {
    const KeyPair keys = make_key_pair();
    const auto written = write_one_time_key_file(path, keys);
    if (!written) {
        std::cerr << "understudy: " << written.error().message << "\n";
        return exit_code_of(written.error().code);
    }
    const std::time_t until = std::time(nullptr) + 60 * minutes;
    std::tm parts{};
    ::gmtime_r(&until, &parts);
    std::cout << "Wrote " << path << " (readable by you alone): put it into the configuration of the agent, there and nowhere else.\n"
              << "For its [[peer]] in the manager's configuration, to be read again with SIGHUP:\none_time_key = \"" << keys.public_key << "\"\nvalid_until = "
              << std::put_time(&parts, "%Y-%m-%dT%H:%M:%SZ") << "\n";
    return kExitDone;
}

void add_keys(CLI::App& app, Common& common) {
    auto* keys = app.add_subcommand("keys", "make keys");
    keys->require_subcommand(1);
    auto* fresh = keys->add_subcommand("new", "make a CURVE pair and print its public half");
    auto path = std::make_shared<std::string>();
    fresh->add_option("--out", *path, "file to write, never overwritten")->required()->type_name("FILE");
    fresh->callback([&common, path] { common.exit_code = make_keys(*path); });
    auto* once = keys->add_subcommand("one-time", "make a key with which the agent of a machine names the key that it makes for itself");
    auto minutes = std::make_shared<int>(60);
    once->add_option("--out", *path, "file to write, never overwritten")->required()->type_name("FILE");
    once->add_option("--for", *minutes, "minutes in which it has to be used")->check(CLI::Range(1, 7 * 24 * 60))->capture_default_str();
    once->callback([&common, path, minutes] { common.exit_code = make_one_time_key(*path, *minutes); });
}

void add_description(CLI::App& app) {
    auto* completion = app.add_subcommand("completion", "print completions for a shell: source <(understudy completion bash)");
    auto shell = std::make_shared<std::string>();
    completion->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    completion->callback([&app, shell] { std::cout << completion_text(app, *shell); });
    app.add_subcommand("manual", "print the manual page, for man -l -")->callback([&app] { std::cout << manual_text(app, kRelease); });
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Looks at and steers the Understudy node manager."};
    app.set_version_flag("--version", std::string("understudy ") + understudy::kRelease);
    app.name("understudy");
    app.footer("Exit codes: 0 done, 2 wrong options or configuration, 3 manager not reachable, 4 invalid, 5 not found,\n"
               "6 refused, 7 unavailable, 8 no capacity, 9 outcome unknown, 10 failed, 11 limit, 12 version, 13 damaged.\n"
               "The manual: understudy manual | man -l -");
    app.require_subcommand(1);
    app.fallthrough();
    Common common;
    app.add_option("--config", common.configuration,
                   "default: $UNDERSTUDY_CONFIG, ~/.config/understudy/client.toml, /etc/understudy/client.toml")
        ->type_name("FILE");
    app.add_option("--timeout", common.timeout_s, "seconds to wait for the manager")
        ->check(CLI::Range(0.1, 3600.0))->capture_default_str();
    app.add_flag("--json", common.json, "answers for programs");
    add_questions(app, common);
    add_acts(app, common);
    add_notify(app, common);
    add_keys(app, common);
    add_description(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kExitDone : kExitUsage;
    }
    return common.exit_code;
}
