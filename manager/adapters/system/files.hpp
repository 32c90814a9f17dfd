// Small files that must never be half there, and a lock that only one program can have. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "manager/runtime/unique_fd.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// Replaces `path` by `content` in one move, mode 0600 (or `mode`), synced before it gets its name.
/// Errors: `failed` with the path and the system's words; nothing is left behind.
[[nodiscard]] Result<> write_file(const std::string& path, const std::string& content, unsigned mode = 0600);

/// The whole file, at most 1 MiB. Errors: `not_found`, `failed`.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

/// Makes the directory and those above it, mode 0700 for what is new.
[[nodiscard]] Result<> make_directory(const std::string& path);

/// The same, for a directory that other accounts may pass and not list.
[[nodiscard]] Result<> make_passable_directory(const std::string& path);

/// Makes it a file of another account, with that mode. Errors: `failed`.
[[nodiscard]] Result<> give_file(const std::string& path, std::uint32_t user, std::uint32_t group, unsigned mode);

/// Held until the descriptor is closed. Errors: `unavailable` when another program holds it.
[[nodiscard]] Result<UniqueFd> lock_file(const std::string& path);

/// "cannot WHAT PATH: what the system says".
[[nodiscard]] tl::unexpected<Error> system_failure(const std::string& what);

}  // namespace understudy::manager
