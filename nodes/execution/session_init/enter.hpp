// Moves the calling process into the tree of a session. No thread of its own.
#pragma once

#include <string>

#include "options.hpp"

namespace understudy::session {

/// Precondition: new mount, PID, IPC and UTS namespaces. Afterwards "/" is the session's tree and nothing
/// of the guest's mounts is left. Returns what went wrong; empty: nothing.
[[nodiscard]] std::string enter_session(const Options& options);

/// Gives the calling process mounts of its own in which ROOT is a mount point, which is what a restore
/// wants; they vanish with the process. Returns what went wrong; empty: nothing.
[[nodiscard]] std::string prepare_restore(const std::string& root);

}  // namespace understudy::session
