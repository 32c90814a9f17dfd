// The way from a host and a port to a socket behind which RFB begins: TCP connect, our line, the door's
// answer. Everything has a deadline and can be interrupted. Called by the link's thread.
#pragma once

#include <chrono>

#include "viewer/source.hpp"
#include "protocol/result.hpp"

namespace understudy::viewer {

/// A file descriptor that closes itself.
class OwnedFd {
public:
    OwnedFd() = default;
    explicit OwnedFd(int fd) : fd_(fd) {}
    OwnedFd(OwnedFd&& other) noexcept : fd_(other.release()) {}
    OwnedFd& operator=(OwnedFd&& other) noexcept;
    OwnedFd(const OwnedFd&) = delete;
    OwnedFd& operator=(const OwnedFd&) = delete;
    ~OwnedFd();
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] int release();

private:
    int fd_ = -1;
};

inline constexpr std::chrono::milliseconds kDoorTimeout{5000};
inline constexpr std::size_t kMaxDoorLineBytes = 1024;

/// Connects and passes the door. `stop_fd` becoming readable ends the attempt at once.
/// On success the socket is non-blocking, TCP_NODELAY, and the next byte read from it is RFB's first.
/// Errors: `refused` with the door's own words; `unavailable` for everything else.
[[nodiscard]] Result<OwnedFd> pass_door(const Source& source, int stop_fd);

}  // namespace understudy::viewer
