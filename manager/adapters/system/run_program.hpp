// Runs a small program to its end and returns what it said. Blocks the caller; any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::manager {

/// Runs `command` (looked up in PATH) without a shell, standard input empty. Returns standard output and
/// standard error together, at most 64 KiB. Errors: `failed` with the program's own words when it ends
/// with another status than 0, cannot be started, or is killed because `limit` is over.
[[nodiscard]] Result<std::string> run_program(const std::vector<std::string>& command, std::chrono::milliseconds limit);

/// Runs `command` with `input` (at most 64 KiB) on its standard input, in a process group of its own that is killed
/// as a whole when `limit` is over. Any way to end by itself is an answer.
/// Errors: `failed` when it cannot be started, was killed by a signal, or did not end within `limit`.
struct Finished {
    int status = 0;
    std::string text;  ///< standard output and standard error
};
[[nodiscard]] Result<Finished> run_with_input(const std::vector<std::string>& command, const std::string& input,
                                              std::chrono::milliseconds limit);

/// As run_program, but a program that is still running at the limit, or failed, is no error: what it said is
/// returned, and `ended` says whether it ended by itself. Stops early once `until` was said.
struct Heard {
    std::string text;
    bool ended = false;
};
[[nodiscard]] Result<Heard> listen_to_program(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                                              const std::string& until);

}  // namespace understudy::manager
