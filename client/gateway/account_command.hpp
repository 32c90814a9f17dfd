// `understudy-gateway account …` and `… key …`: who may use the gateway. Works on the files of the state folder; a
// gateway that runs notices at once. For the main thread.
#pragma once

#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace understudy::gateway {

/// What the command line said, and what became of it.
struct AccountCommand {
    std::string configuration;  ///< path as given with --config; may be empty
    int exit_code = -1;         ///< -1: it was no such command
};

/// Adds the subcommands; they are carried out while the command line is parsed.
void add_account_commands(CLI::App& app, AccountCommand& command);

}  // namespace understudy::gateway
