// The manager's log: standard error or a file, one line per event, key=value where somebody may search.
#pragma once

#include <string>

#include "manager/runtime/log_port.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// Lines below `level` are dropped. `file` empty: standard error; else appended to, and begun anew at
/// 64 MiB (three old ones are kept). Errors: `failed` (the file cannot be written).
[[nodiscard]] Result<LogSink> open_log(LogWeight level, const std::string& file);

}  // namespace understudy::manager
