// A backup of one session: takes checkpoints in, and keeps the files of the newest unpacked, so that
// taking over is a restore and nothing else. Owned by the agent's main thread; each stream has a thread,
// unpacking runs on the session's worker.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "nodes/agent/base/lifeline.hpp"
#include "nodes/execution/checkpoint_receiver.hpp"
#include "nodes/execution/checkpoint_store.hpp"
#include "nodes/execution/criu_jobs.hpp"
#include "nodes/execution/ground.hpp"

namespace understudy::node {

class Standby {
  public:
    /// `tree_root`: where the unpacked files go. `on_changed`: another checkpoint is held.
    Standby(Ground& ground, SessionId session, CheckpointStore& store, Worker& worker, std::string tree_root, std::function<void()> on_changed);
    ~Standby();
    Standby(const Standby&) = delete;
    Standby& operator=(const Standby&) = delete;

    /// A primary whose ticket was found good; it replaces the one before.
    void accept(Descriptor socket, Epoch epoch, std::function<void()> on_gone);
    /// Cuts the stream; nothing comes in any more.
    void stop();
    /// What the worker has unpacked once it is done with all it was given.
    [[nodiscard]] std::shared_ptr<PreparedTree> tree() const { return tree_; }

  private:
    void note_stored(const CheckpointMeta& meta);

    Ground& ground_;
    const SessionId session_;
    CheckpointStore& store_;
    Worker& worker_;
    std::function<void()> on_changed_;
    std::unique_ptr<CheckpointReceiver> receiver_;
    std::uint64_t stream_ = 0;  ///< counts streams: a late word of an old one is not the new one's
    std::function<void()> on_gone_;
    // Shared with jobs of the worker, which alone reads and changes what it points to.
    std::shared_ptr<PreparedTree> tree_;
    Lifeline lifeline_;
};

}  // namespace understudy::node
