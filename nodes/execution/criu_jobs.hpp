// What a worker does for one checkpoint: dump or restore, with the files that belong to it.
// Blocking functions over plain values; any one thread at a time per session.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nodes/execution/checkpoint_meta.hpp"
#include "nodes/execution/file_tree.hpp"

namespace understudy::node {

struct DumpTask {
    int socket = -1;                 ///< to a CriuProcess
    int pid = 0;                     ///< the session's first process, as the agent sees it
    SessionId session;
    CheckpointId id;
    CheckpointId parent;             ///< {0,0}: complete
    std::string application;
    std::string store_folder;
    std::string root;                ///< the session's tree
    bool has_environment = false;    ///< an environment is mounted
    TreeMarks before;                ///< empty: complete
    std::vector<std::uint64_t> outer_sockets;
    std::int64_t now_wall_ms = 0;
};

struct DumpOutcome {
    CheckpointMeta meta;
    TreeMarks marks;
};

/// Dumps a running session into its own new folder of the store; the session goes on. `on_resumed` is
/// called as soon as it does. Errors: in CRIU's own words; nothing is left behind.
[[nodiscard]] Result<DumpOutcome> dump_session(const DumpTask& task, const std::function<void()>& on_resumed);

/// A tree brought to the state of a checkpoint, ready to be restored into.
struct PreparedTree {
    std::string root;
    std::optional<CheckpointId> version;  ///< none: contents are not to be relied on
};

/// Brings `tree` to the end of `chain` by applying what it lacks, or builds it anew when it is on another
/// line. Errors: `damaged`, `failed`; the tree is then to be built anew.
[[nodiscard]] Result<PreparedTree> prepare_tree(PreparedTree tree, const std::vector<CheckpointMeta>& chain, const std::string& store_folder);

struct RestoreTask {
    int socket = -1;
    CheckpointMeta meta;
    std::string store_folder;
    PreparedTree tree;
    std::string environment;  ///< folder of the environment; empty: none
};

/// Returns the process id of the restored first process, a child of the agent. Errors: CRIU's words.
[[nodiscard]] Result<int> restore_session(const RestoreTask& task);

}  // namespace understudy::node
