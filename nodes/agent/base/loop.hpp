// The agent's event loop: descriptors, timers and results of workers, all on one thread. Its own
// descriptor becomes readable when something is due, so that it can be polled next to ZeroMQ sockets.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/unbroken_clock.hpp"
#include "protocol/time.hpp"

namespace understudy::node {

/// Everything but post() and now() belongs to the thread that calls dispatch().
class Loop {
  public:
    using Id = std::uint64_t;                              ///< never used twice; 0 names nothing
    using OnReady = std::function<void(std::uint32_t)>;    ///< gets the EPOLL… bits
    using Task = std::function<void()>;

    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Monotonic, since the start of this loop plus one second (so that no moment is zero); goes on while the machine
    /// stands still. Any thread may ask.
    [[nodiscard]] TimePoint now() const;

    /// Calls `handler` whenever the descriptor is ready for `events`. The descriptor stays the caller's
    /// and has to be unwatched before it is closed.
    Id watch(int descriptor, std::uint32_t events, OnReady handler);
    void change(Id watch, std::uint32_t events);
    void unwatch(Id watch);

    Id at(TimePoint when, Task task);
    Id after(Duration delay, Task task) { return at(now() + delay, std::move(task)); }
    void cancel(Id timer);

    /// Runs `task` on the loop's thread soon. Any thread may call this.
    void post(Task task);

    /// Readable when dispatch() has something to do.
    [[nodiscard]] int descriptor() const { return epoll_.get(); }
    /// Milliseconds until the next timer, rounded up; -1: none.
    [[nodiscard]] int timeout_ms() const;
    /// Handles what is ready, without waiting.
    void dispatch();

  private:
    struct Watch {
        int descriptor = -1;
        OnReady handler;
    };

    void run_posted();
    void run_timers();

    Descriptor epoll_;
    Descriptor wake_;
    mutable std::mutex clock_mutex_;  ///< guards clock_
    mutable UnbrokenClock clock_;     ///< learns with every look at it
    Duration start_{0};
    Id next_id_ = 1;
    // Shared, because a handler may unwatch itself while it runs.
    std::map<Id, std::shared_ptr<Watch>> watches_;
    std::map<std::pair<TimePoint, Id>, Task> timers_;
    std::map<Id, TimePoint> timer_times_;
    std::mutex posted_mutex_;  ///< guards posted_
    std::vector<Task> posted_;
};

}  // namespace understudy::node
