// Connecting to a door without being kept by one lost word. Where connections wait to be accepted in a short queue (a
// virtual machine's user-mode network has room for two), what comes while it is full is dropped, and the kernel asks
// again only after a second. So when an attempt stays without an answer, another one is made beside it, later and later;
// the first that is answered counts, the others are let go of. (The way of RFC 8305, with one address.)
// Belongs to the pump's thread, except where it says otherwise; never waits.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/result.hpp"
#include "streams/owned_fd.hpp"

namespace understudy::streams {

class Dial {
public:
    static constexpr std::chrono::milliseconds kFirstPause{150};  ///< until the second attempt; doubles with each
    static constexpr std::size_t kAttempts = 5;

    /// Any thread. Errors: `invalid`, the host is not a numeric address.
    [[nodiscard]] static Result<Dial> to(const Endpoint& endpoint);

    /// Begins one more attempt; its descriptor tells when it is decided. -1: it failed at once.
    [[nodiscard]] int attempt();
    [[nodiscard]] bool may_try_again() const { return made_ < kAttempts; }
    /// From the newest attempt to the next one; there has been one.
    [[nodiscard]] std::chrono::milliseconds pause() const { return kFirstPause * (1 << (made_ - 1)); }

    /// The first attempt that was answered, if there is one, without the others.
    [[nodiscard]] OwnedFd take_connected();
    /// None is under way.
    [[nodiscard]] bool has_failed() const { return under_way_.empty(); }
    /// Why no attempt came through.
    [[nodiscard]] std::string problem() const;

private:
    Dial() = default;

    std::string where_;
    sockaddr_storage address_{};
    socklen_t length_ = 0;
    std::vector<OwnedFd> under_way_;
    std::size_t made_ = 0;
    int problem_ = 0;
};

}  // namespace understudy::streams
