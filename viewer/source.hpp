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
    std::string ticket;  ///< printable, without blanks, at most kMaxTicketBytes
    Epoch epoch = 0;
    Purpose purpose = Purpose::window;  ///< `window` or `desktop`
    bool operator==(const Source&) const = default;
};

inline constexpr std::size_t kMaxTicketBytes = 900;
inline constexpr int kMaxSidePixels = 16384;

}  // namespace understudy::viewer
