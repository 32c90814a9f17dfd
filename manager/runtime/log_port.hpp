// Where the loop's words go. The program gives it a real log, tests a list.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace understudy::manager {

enum class LogWeight : std::uint8_t { debug, info, notice, warning, alarm };

/// Takes one line; called on the loop's thread.
using LogSink = std::function<void(LogWeight, const std::string&)>;

}  // namespace understudy::manager
