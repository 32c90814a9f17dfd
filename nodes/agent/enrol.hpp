// What an agent does first that was given a one-time key: it names the key of its own making, and waits until the manager
// has taken it.
#pragma once

#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/config.hpp"
#include "nodes/agent/own_keys.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// Says it again and again while nobody answers; what `loop` has to do is done meanwhile. Postcondition: `keys` speaks with
/// its own. `ending`: becomes true, in the loop, when it is time to end. Errors: `refused` (the key was used or has expired:
/// the manager's words), `unavailable` (asked to end), `failed`, `invalid`.
[[nodiscard]] Result<> enrol(const Config& config, OwnKeys& keys, Loop& loop, const bool& ending);

}  // namespace understudy::node
