// Who did what over HTTP: one JSON text per line, only ever appended, synced before the act that it speaks of.
// Functions on one file; any thread, several programs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::gateway {

struct AuditEntry {
    std::string event;    ///< "act", "result", "refused", "opened" (a terminal), "login", "login-failed", "locked", "logout", "account"
    std::string id;       ///< tells which act a result belongs to
    std::string who;
    std::string role;
    std::string address;
    std::string verb;
    std::vector<std::string> arguments;  ///< "key=value"; secrets are hidden as it is written
    std::string reason;
    std::string result;
};

[[nodiscard]] std::string audit_path(const std::string& state_dir);

/// One line without its end. `wall_ms`: Unix milliseconds.
[[nodiscard]] std::string audit_line(const AuditEntry& entry, std::int64_t wall_ms);

/// Appends and syncs. What cannot be written whole is taken back. Errors: `unavailable`, in the system's words.
[[nodiscard]] Result<> append_audit(const std::string& path, const std::string& line);

/// The newest entries as a JSON list, newest first; at most `most`, and of the last 4 MiB. Errors: `failed`.
[[nodiscard]] Result<std::string> newest_audit(const std::string& path, std::size_t most);

}  // namespace understudy::gateway
