// Where a picture comes from. Plain values; no thread owns them.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/messages.hpp"

namespace understudy::viewer {

/// The door of a node, the right to pass it, and what is behind it.
struct Source {
    std::string host;  ///< numeric IPv4 or IPv6 address
    std::uint16_t port = 0;
    std::string key;     ///< of the door, as in Endpoint
    std::string ticket;  ///< printable, without blanks, at most kMaxTicketBytes
    Epoch epoch = 0;
    Purpose purpose = Purpose::window;  ///< `window` or `desktop`
    std::string renewal = {};           ///< what the door gave a former viewer of the same source; empty: nothing
    bool operator==(const Source&) const = default;
};

inline constexpr std::size_t kMaxTicketBytes = 900;
inline constexpr int kMaxSidePixels = 16384;

}  // namespace understudy::viewer
