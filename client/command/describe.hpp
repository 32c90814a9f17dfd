// The command line's description of itself: shell completions and the manual page are made from the same tree of
// subcommands and options that parses them, so that they cannot disagree. Pure functions.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace understudy::client {

/// Text for `source <(understudy completion bash)`, or for a completion folder. `shell`: "bash", "zsh" or "fish".
/// Names of hosts, nodes, … are asked of the manager while one types.
[[nodiscard]] std::string completion_text(const CLI::App& app, const std::string& shell);

/// The manual page in roff (man macros).
[[nodiscard]] std::string manual_text(const CLI::App& app, const std::string& version);

}  // namespace understudy::client
