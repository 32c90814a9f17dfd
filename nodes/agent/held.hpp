// An agent that is held: it has done everything that a start takes and nothing that makes a machine an
// individual. Its machine is frozen here and copied; each copy goes on with a seed of its own.
#pragma once

#include "nodes/agent/config.hpp"

namespace understudy::node {

/// Waits, without a limit, until the seed disk has another text than that of a held machine; makes it the
/// configuration (written to `config_file`, so that an agent started again finds it) and sets the clock.
/// `stop`: a descriptor that becomes readable when it is time to end. Errors: `invalid` (the new seed),
/// `failed` (the disk), `unavailable` (asked to stop).
[[nodiscard]] Result<Config> wait_for_seed(const Config& held, const std::string& config_file, int stop);

}  // namespace understudy::node
