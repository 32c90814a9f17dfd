// The primary's side of a checkpoint stream to one backup: connects, finds out what the backup has, and
// brings it every checkpoint it lacks up to the newest. A thread of its own, so that it never delays
// anything else.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/execution/checkpoint_meta.hpp"
#include "protocol/door_line.hpp"
#include "protocol/time.hpp"
#include "streams/pump.hpp"

namespace understudy::node {

/// A chain of checkpoints, the complete one first, and the folder they lie in.
struct Offer {
    std::vector<CheckpointMeta> chain;
    std::string folder;
};

class FrameStream;

/// Sends what `offer` holds beyond what the other side has. `remembered` is updated with what it stored.
/// Blocking. Errors: as FrameStream, `failed` (a file can't be read), `refused` (the backup's reason).
[[nodiscard]] Result<> send_checkpoints(FrameStream& stream, const Offer& offer, std::vector<CheckpointId>& remembered,
                                        std::uint32_t& credit_bytes);

class CheckpointSender {
  public:
    /// Both are called on the sender's thread. `on_trouble` gets a reason; trying goes on.
    struct Listener {
        std::function<void(CheckpointId, Duration)> on_stored;  ///< and how long bringing it took
        std::function<void(const std::string&)> on_trouble;
        std::function<void(std::uint64_t serial)> on_void;      ///< the door takes this ticket no more: another is needed
    };

    /// `pump` outlives the sender; `endpoint` as reached from here; `ticket`: for its door.
    CheckpointSender(streams::Pump& pump, Endpoint endpoint, Ticket ticket, Listener listener);
    /// Cuts the stream and waits for the thread.
    ~CheckpointSender();
    CheckpointSender(const CheckpointSender&) = delete;
    CheckpointSender& operator=(const CheckpointSender&) = delete;

    /// Replaces what is to be brought over; an offer at work is finished first.
    void offer(Offer offer);
    /// A younger ticket for the same door and epoch.
    void set_ticket(Ticket ticket);
    [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
    [[nodiscard]] Epoch epoch() const { return epoch_; }

  private:
    void work();
    [[nodiscard]] Result<> serve_one_connection();
    [[nodiscard]] Result<> knock(int socket, const streams::Ending& ending);
    [[nodiscard]] bool wait_for_offer(Offer& next);

    streams::Pump& pump_;
    const Endpoint endpoint_;
    const Epoch epoch_;
    const Listener listener_;
    std::mutex mutex_;  ///< guards what follows
    std::condition_variable changed_;
    Bearer bearer_;
    std::uint64_t serial_ = 0;    ///< of the newest ticket
    Offer newest_;
    std::uint64_t offered_ = 0;   ///< counts offers
    std::uint64_t done_ = 0;      ///< number of the offer that is completely there
    bool ending_ = false;
    Descriptor socket_;
    std::thread thread_;
};

}  // namespace understudy::node
