// Brings the events of a Link to a program that is not built around callbacks: a bounded queue with a
// file descriptor to poll. Filled by the link's thread, emptied by one other; the lock is this adapter's
// only shared state.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>

#include "client/link/link.hpp"

namespace understudy::client {

class Inbox {
public:
    Inbox();
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;
    ~Inbox();

    /// What to give to Link::open(). Precondition: the inbox outlives the link.
    [[nodiscard]] LinkSink sink();

    /// Readable while events wait.
    [[nodiscard]] int file_descriptor() const { return wakeup_; }

    /// The oldest event, if there is one.
    [[nodiscard]] std::optional<LinkEvent> take();

    /// Waits until an event came or the deadline passed.
    [[nodiscard]] std::optional<LinkEvent> take_until(std::chrono::steady_clock::time_point deadline);

private:
    int wakeup_ = -1;
    std::mutex mutex_;
    std::deque<LinkEvent> events_;
};

}  // namespace understudy::client
