// Two connected sockets that are one stream: what comes in at one end goes out at the other, by splice(2),
// without a copy and never more than a pipe is ahead. Owned by the agent's main thread.
#pragma once

#include <functional>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/loop.hpp"

namespace understudy::node {

class SplicedPair {
  public:
    /// Both sockets are non-blocking and connected. `on_end` is called once, from the loop, when both
    /// directions are over or one end failed; it may destroy the pair.
    SplicedPair(Loop& loop, Descriptor left, Descriptor right, std::function<void()> on_end);
    ~SplicedPair();
    SplicedPair(const SplicedPair&) = delete;
    SplicedPair& operator=(const SplicedPair&) = delete;

    [[nodiscard]] int right() const { return right_.socket.get(); }

  private:
    struct End {
        Descriptor socket;
        Loop::Id watch = 0;
        std::uint32_t wanted = 0;
        bool readable = false;
        bool writable = true;
    };
    struct Direction {
        Descriptor pipe_out;
        Descriptor pipe_in;
        std::size_t buffered_bytes = 0;
        bool source_ended = false;
        bool passed_on = false;  ///< the end was passed on to the other side
    };

    void on_ready(End& end, std::uint32_t events);
    void pump();
    /// False: the stream is broken.
    [[nodiscard]] bool pump_one(End& from, End& to, Direction& way);
    void update(End& end, const Direction& outgoing, const Direction& incoming);
    void finish();

    Loop& loop_;
    End left_;
    End right_;
    Direction to_right_;
    Direction to_left_;
    std::function<void()> on_end_;
    Loop::Id again_ = 0;  ///< a turn was cut short to let others work
};

}  // namespace understudy::node
