// Whether sessions can be checkpointed on this node. Asks criu itself; blocking, once at the start.
#pragma once

#include <string>


namespace understudy::node {

struct CheckpointProbe {
    bool possible = false;
    std::string reason;  ///< why not, in the words of whoever said so
};

/// Runs `criu check` (at most `patience_ms`). The answer is kept in `cache_file` for this boot: an agent
/// that is started again does not wait for it. Without an answer in time it is taken to be possible; the
/// first dump shows.
[[nodiscard]] CheckpointProbe probe_checkpoints(const std::string& cache_file, int patience_ms);

}  // namespace understudy::node
