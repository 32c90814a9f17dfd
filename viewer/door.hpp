// The way from a host and a port to a socket behind which RFB begins: TCP connect, TLS, our line, the door's
// answer. Everything has a deadline and can be interrupted. Called by the link's thread.
#pragma once

#include <chrono>
#include <memory>

#include "protocol/door_line.hpp"
#include "protocol/result.hpp"
#include "streams/pump.hpp"
#include "viewer/source.hpp"

namespace understudy::viewer {

using streams::OwnedFd;

inline constexpr std::chrono::milliseconds kDoorTimeout{5000};

/// Connects and passes the door with what `bearer` has in hand; when that is a renewal which the door does not take,
/// then with the ticket. `bearer` has the door's renewal afterwards. `stop_fd` becoming readable ends the attempt at once.
/// On success the socket is non-blocking, and the next byte read from it is RFB's first.
struct Passed {
    OwnedFd socket;
    std::shared_ptr<const streams::Ending> ending;  ///< why the connection ended, once it has
};
struct NotPassed {
    Error error;           ///< `refused` with the door's own words; `unavailable` for everything else
    bool is_void = false;  ///< it will never take what the bearer has
};
[[nodiscard]] tl::expected<Passed, NotPassed> pass_door(const Source& source, Bearer& bearer, streams::Pump& pump, int stop_fd);

}  // namespace understudy::viewer
