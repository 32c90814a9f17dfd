// The file that says who did what: one JSON object on a line, two lines for an act (that it is to be done, and what
// became of it). Lines are only ever added. Not shared between threads.
//
// The file is opened anew for every line: whoever moves it away for safe-keeping needs to tell nobody.
#pragma once

#include <cstddef>
#include <string>

#include "manager/runtime/audit_port.hpp"

namespace understudy::manager {

[[nodiscard]] std::string audit_line(const AuditEntry& entry);
[[nodiscard]] std::string audit_line(const AuditResult& result);

class AuditLog {
  public:
    explicit AuditLog(std::string path) : path_(std::move(path)) {}

    /// Adds whole lines (each with its end) and syncs them. After a failure part of them may be there; the next line
    /// begins a new one all the same. Errors: `failed` with the path and the system's words.
    [[nodiscard]] Result<> append(const std::string& lines);

    /// The newest `count` acts as JSON, {"entries": […], "complete": …}, newest first, each with its result when it has
    /// one. At most the last MiB of the file is read; `complete`: there is nothing older. What is no entry is left
    /// out. Errors: `failed`. No file is an empty one.
    [[nodiscard]] Result<std::string> newest(std::size_t count) const;

  private:
    std::string path_;
};

}  // namespace understudy::manager
