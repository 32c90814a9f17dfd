// What every subcommand needs: the options given for all of them, and a connection made when it is
// wanted. Used by the main thread only.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "client/link/configuration.hpp"
#include "protocol/result.hpp"

namespace CLI {
class App;
}

namespace understudy::client {

/// Options that all subcommands share.
struct Common {
    std::string configuration;
    double timeout_s = 5;
    bool json = false;
    int exit_code = 0;  ///< of the subcommand that ran

    [[nodiscard]] std::chrono::milliseconds timeout() const {
        return std::chrono::milliseconds(static_cast<std::int64_t>(timeout_s * 1000));
    }
};

/// Adds status, hosts, …, incident, what-if, watch.
void add_questions(CLI::App& app, Common& common);

/// Adds notify.
void add_notify(CLI::App& app, Common& common);

/// The configuration that the options name, or the usual one. Errors: as load_configuration().
[[nodiscard]] Result<Configuration> configuration_of(const Common& common);

/// Says on standard error what went wrong; returns `code`.
int tell(const Error& error, int code);

/// Adds failover, kill, drain, …
void add_acts(CLI::App& app, Common& common);

/// What an answered call gave.
struct Answer {
    std::string text;
    std::string json;
};

/// Asks the manager once. On any failure says why on standard error; then `exit_code` is not 0.
[[nodiscard]] int ask(const Common& common, const std::string& verb, const std::vector<std::string>& arguments,
                      Answer& answer);

}  // namespace understudy::client
