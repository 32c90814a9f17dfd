// What an agent does first that was given a one-time key: it names the key of its own making, and waits until the manager
// has taken it.
#pragma once

#include "nodes/agent/config.hpp"
#include "nodes/agent/own_keys.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// Says it again and again while nobody answers. Postcondition: `keys` speaks with its own. `stop`: a descriptor that is
/// readable when it is time to end. Errors: `refused` (the key was used or has expired: the manager's words),
/// `unavailable` (asked to end), `failed`, `invalid`.
[[nodiscard]] Result<> enrol(const Config& config, OwnKeys& keys, int stop);

}  // namespace understudy::node
