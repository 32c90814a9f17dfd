// The rules by which a terminal attaches and follows redirects. Pure: events and the time go in,
// messages to send and the moment of the next wake-up come out. Shared by every kind of terminal.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/time.hpp"

namespace understudy::client {

/// What a terminal knows about where its desktop is.
class Attachment {
public:
    /// How an answer of the manager was taken.
    enum class Taken {
        moved,       ///< a newer epoch: go there
        refreshed,   ///< the epoch we have, with what is needed to connect again
        stale,       ///< older than what we obey: refused
        waiting,     ///< nowhere to go at the moment; `reason()` says why
        refused,     ///< final until somebody changes something; `reason()` says why
        elsewhere,   ///< another place has the desktop: leave it, and ask no more before take_back()
        not_ours,    ///< about another terminal
    };

    Attachment(std::string terminal, std::uint32_t width, std::uint32_t height);

    /// The link came up: ask again at once.
    void link_up(TimePoint now);
    void link_down();

    /// A stream broke or was refused: a newer ticket may be wanted. At most one question per
    /// half second comes of it.
    void stream_lost(TimePoint now);

    [[nodiscard]] Taken take(const TerminalRedirect& redirect, TimePoint now);
    [[nodiscard]] Taken take(const TerminalWaiting& waiting, TimePoint now);
    /// A refusal does not say whose it is; it belongs to whoever asked and has no answer yet.
    [[nodiscard]] Taken take(const TerminalRefused& refused, TimePoint now);

    [[nodiscard]] Taken take(const TerminalTaken& taken, TimePoint now);

    /// The person wants the desktop back from the other place: ask at once.
    void take_back(TimePoint now);

    /// What has to be sent now. Call after every event and when `next_wake()` has come.
    [[nodiscard]] std::vector<Message> due(TimePoint now);
    [[nodiscard]] TimePoint next_wake() const;

    /// "connected", "picture" or "lost", for the record of the incident that brought us here.
    [[nodiscard]] std::optional<Message> seen(const std::string& what, Epoch epoch) const;

    [[nodiscard]] const std::string& terminal() const { return terminal_; }
    [[nodiscard]] const std::optional<TerminalRedirect>& redirect() const { return redirect_; }
    [[nodiscard]] const std::string& reason() const { return reason_; }
    [[nodiscard]] std::uint32_t retry_ms() const { return retry_ms_; }
    [[nodiscard]] bool unanswered() const { return unanswered_; }
    /// Another place has the desktop.
    [[nodiscard]] bool elsewhere() const { return elsewhere_; }
    /// A message of the manager names this terminal, or none in particular.
    [[nodiscard]] bool ours(TerminalId id) const;
    [[nodiscard]] Epoch accepted() const { return redirect_ ? redirect_->epoch : 0; }

private:
    void ask_at(TimePoint when);

    std::string terminal_;
    std::uint32_t width_;
    std::uint32_t height_;
    bool link_up_ = false;
    bool unanswered_ = true;
    bool elsewhere_ = false;
    TimePoint next_ask_ = kNever;
    TimePoint last_ask_ = TimePoint::min();
    std::optional<TerminalRedirect> redirect_;
    TerminalId id_;  ///< learned from the first redirect
    std::string reason_;
    std::uint32_t retry_ms_ = 0;
};

}  // namespace understudy::client
