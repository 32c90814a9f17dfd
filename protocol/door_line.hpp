// What is said at a door before a stream begins, as text, for both sides: the bearer's first line, the door's answer,
// the bearer's word that it has got it. Pure values and functions; any thread.
//
//   bearer: UNDERSTUDY/1 window|desktop|checkpoint TICKET\n    or =RENEWAL instead of the ticket
//   door:   OK RENEWAL\n      or  NO REASON\n (not now)   or  VOID REASON\n (never with this: get another)
//   bearer: GO\n              and the stream begins
#pragma once

#include <string>
#include <string_view>

#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy {

inline constexpr std::string_view kDoorGo = "GO\n";
inline constexpr std::size_t kRenewalBytes = 43;  ///< 32 random bytes in base64url

/// What a door makes of a first line.
struct FirstLine {
    Purpose purpose = Purpose::window;
    std::string_view pass;    ///< a ticket or a renewal; points into the line
    bool is_renewal = false;
};

/// `line` without its end. Errors: `refused`, with words for the other side. Stands anything.
[[nodiscard]] Result<FirstLine> parse_first_line(std::string_view line);

/// Could these bytes become a first line? False as soon as they cannot.
[[nodiscard]] bool may_become_first_line(std::string_view bytes);

/// What somebody who comes to a door has in hand: a ticket, which lets in once, and behind that the renewal that the
/// door gave at the last time, which lets in once more.
class Bearer {
public:
    Bearer() = default;
    explicit Bearer(std::string ticket, std::string renewal = {}) : ticket_(std::move(ticket)), renewal_(std::move(renewal)) {}

    [[nodiscard]] std::string first_line(Purpose purpose) const;
    void admitted(std::string renewal) { renewal_ = std::move(renewal); }
    /// What was presented will never be taken. True: there is something else to present, so try again at once.
    bool voided();
    /// A fresh ticket, for the day on which the renewal is not taken.
    void set_ticket(std::string ticket) { ticket_ = std::move(ticket); }

    [[nodiscard]] const std::string& ticket() const { return ticket_; }
    [[nodiscard]] const std::string& renewal() const { return renewal_; }

private:
    std::string ticket_;
    std::string renewal_;
};

/// Collects a door's answer, which may come in pieces.
class DoorAnswer {
public:
    enum class State { incomplete, admitted, refused };

    /// Takes bytes and returns how many of them belong to the answer. A line longer than the limit, or one that no door
    /// says, counts as refused.
    std::size_t take(std::string_view bytes);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const std::string& renewal() const { return renewal_; }
    [[nodiscard]] const std::string& reason() const { return reason_; }
    /// Refused for ever: another ticket is needed.
    [[nodiscard]] bool is_void() const { return void_; }

private:
    void judge();

    State state_ = State::incomplete;
    bool void_ = false;
    std::string line_;
    std::string renewal_;
    std::string reason_;
};

}  // namespace understudy
