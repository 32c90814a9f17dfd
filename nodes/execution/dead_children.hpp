// Processes of a session that have ended and that their parent has not asked about yet. A checkpoint with
// one of them was seen to hang at its restore; such a moment passes by itself. Any thread.
#pragma once

namespace understudy::node {

/// Is there one below process `pid`?
[[nodiscard]] bool has_dead_children(int pid);

}  // namespace understudy::node
