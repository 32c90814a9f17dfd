// The backup's side of a checkpoint stream: writes what comes into a new folder, verifies every file,
// makes it durable, and only then gives it its name and says so. One thread per stream, its own.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/execution/checkpoint_meta.hpp"

namespace understudy::node {

/// What a stream may deliver, and where to.
struct ReceiverTask {
    SessionId session;
    Epoch epoch = 0;                   ///< the session's, as accepted by this node
    std::string folder;                ///< the store's
    std::vector<CheckpointId> have;    ///< complete ones at the start
};

/// Serves one stream on the calling thread until it ends; returns why. `on_stored` is called for each
/// checkpoint that is complete, verified and durable, before the sender hears of it. Leaves no
/// half-written checkpoint behind. Errors: as FrameStream, and `damaged`, `refused`, `failed`.
[[nodiscard]] Result<> receive_checkpoints(int socket, const ReceiverTask& task,
                                           const std::function<void(const CheckpointMeta&)>& on_stored);

/// receive_checkpoints() on a thread of its own.
class CheckpointReceiver {
  public:
    /// `on_stored` and `on_end` are called on the receiver's thread.
    CheckpointReceiver(Descriptor socket, ReceiverTask task, std::function<void(const CheckpointMeta&)> on_stored,
                       std::function<void(const std::string&)> on_end);
    /// Cuts the stream and waits for the thread.
    ~CheckpointReceiver();
    CheckpointReceiver(const CheckpointReceiver&) = delete;
    CheckpointReceiver& operator=(const CheckpointReceiver&) = delete;

  private:
    Descriptor socket_;
    std::thread thread_;
};

}  // namespace understudy::node
