// Wakes the window's thread, which sleeps inside SDL, when a file descriptor becomes readable or a signal asks the
// program to end. Owns one thread, which does nothing else.
#pragma once

#include <SDL.h>

#include <thread>
#include <vector>

#include "viewer/door.hpp"

namespace understudy::terminal {

class Wakeup {
public:
    /// SIGTERM, SIGINT and SIGHUP have to be blocked in every thread: call before the first one is made.
    static void block_signals();

    /// Pushes events of type event() from now on. Each descriptor is told about again only after it was read.
    explicit Wakeup(const std::vector<int>& descriptors);
    Wakeup(const Wakeup&) = delete;
    Wakeup& operator=(const Wakeup&) = delete;
    ~Wakeup();

    /// SDL's number of our event; user.code is kReadable or kSignal.
    [[nodiscard]] std::uint32_t event() const { return event_; }
    static constexpr std::int32_t kReadable = 0;
    static constexpr std::int32_t kSignal = 1;

private:
    void run();

    std::uint32_t event_;
    viewer::OwnedFd epoll_;
    viewer::OwnedFd signals_;
    viewer::OwnedFd stop_;
    std::thread thread_;  ///< last: starts when everything else is there
};

}  // namespace understudy::terminal
