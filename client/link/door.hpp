// The handshake at a node's door, as text: what to say first and what the answer means.
// Pure functions and values; any thread.
#pragma once

#include <string>
#include <string_view>

#include "protocol/result.hpp"

namespace understudy::client {

/// First line to send for a desktop stream. Precondition: the ticket has no line break.
[[nodiscard]] std::string desktop_greeting(std::string_view ticket);

/// Collects the door's answer, which may come in pieces and may be followed at once by stream bytes.
class DoorAnswer {
public:
    enum class State { incomplete, admitted, refused };

    /// Takes bytes and returns how many of them belong to the answer; the rest is the stream's.
    /// A line longer than the limit, or one that is neither OK nor NO, counts as refused.
    std::size_t take(std::string_view bytes);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const std::string& reason() const { return reason_; }

private:
    State state_ = State::incomplete;
    std::string line_;
    std::string reason_;
};

}  // namespace understudy::client
