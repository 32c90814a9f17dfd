// Follows the manager's view over disconnections, for `watch` and `notify`. Main thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "client/command/session.hpp"

namespace understudy::client {

enum class Patience { until_first_view, for_ever };

/// Calls `seen` with each whole view until it returns false or the process is told to end (SIGINT, SIGTERM).
/// With `until_first_view` a manager that does not answer in time ends it. Returns the exit code; failures are
/// told on standard error.
[[nodiscard]] int follow(const Common& common, Patience patience, const std::function<bool(const std::string&)>& seen);

}  // namespace understudy::client
