// See attachment.hpp.
#include "client/link/attachment.hpp"

#include <algorithm>
#include <utility>

namespace understudy::client {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRepeat = 2s;             ///< until answered
constexpr Duration kShortest = 500ms;        ///< between two questions of one terminal
constexpr Duration kLongestRetry = 10s;      ///< however long the manager wants us to wait
constexpr Duration kRefresh = 15s;           ///< while served: repairs a redirect that was lost on the way
constexpr Duration kAfterRefusal = 10s;      ///< somebody may have defined the terminal meanwhile

}  // namespace

Attachment::Attachment(std::string terminal, std::uint32_t width, std::uint32_t height)
    : terminal_(std::move(terminal)), width_(width), height_(height) {}

void Attachment::ask_at(TimePoint when) { next_ask_ = link_up_ && !elsewhere_ ? when : kNever; }

void Attachment::link_up(TimePoint now) {
    link_up_ = true;
    unanswered_ = true;
    ask_at(now);
}

void Attachment::link_down() {
    link_up_ = false;
    next_ask_ = kNever;
}

void Attachment::stream_lost(TimePoint now) {
    const TimePoint earliest = last_ask_ == TimePoint::min() ? now : last_ask_ + kShortest;
    ask_at(std::min(next_ask_, std::max(now, earliest)));
}

bool Attachment::ours(TerminalId id) const { return !id_ || !id || id == id_; }

Attachment::Taken Attachment::take(const TerminalRedirect& redirect, TimePoint now) {
    // A manager that lost its records may know the terminal under a new number; it never gives out an old epoch.
    const bool renamed = unanswered_ && redirect.epoch > accepted();
    if ((!ours(redirect.terminal) && !renamed) || elsewhere_) return Taken::not_ours;
    if (redirect.epoch < accepted()) return Taken::stale;
    const bool newer = !redirect_ || redirect.epoch > redirect_->epoch;
    id_ = redirect.terminal;
    unanswered_ = false;
    reason_.clear();
    redirect_ = redirect;
    ask_at(now + kRefresh);
    return newer ? Taken::moved : Taken::refreshed;
}

Attachment::Taken Attachment::take(const TerminalWaiting& waiting, TimePoint now) {
    if ((!ours(waiting.terminal) && !unanswered_) || elsewhere_) return Taken::not_ours;
    unanswered_ = false;
    reason_ = waiting.reason;
    retry_ms_ = waiting.retry_ms;
    const Duration wanted = std::chrono::milliseconds(waiting.retry_ms);
    ask_at(now + std::clamp(wanted, kShortest, kLongestRetry));
    return Taken::waiting;
}

Attachment::Taken Attachment::take(const TerminalRefused& refused, TimePoint now) {
    if (!unanswered_) return Taken::not_ours;
    unanswered_ = false;
    reason_ = refused.reason;
    ask_at(now + kAfterRefusal);
    return Taken::refused;
}

Attachment::Taken Attachment::take(const TerminalTaken& taken, TimePoint now) {
    if (!ours(taken.terminal)) return Taken::not_ours;
    elsewhere_ = true;
    unanswered_ = false;
    reason_ = taken.reason;
    ask_at(now);
    return Taken::elsewhere;
}

void Attachment::take_back(TimePoint now) {
    if (!std::exchange(elsewhere_, false)) return;
    reason_.clear();
    unanswered_ = true;
    ask_at(now);
}

std::vector<Message> Attachment::due(TimePoint now) {
    if (!link_up_ || now < next_ask_) return {};
    unanswered_ = true;
    last_ask_ = now;
    ask_at(now + kRepeat);
    return {TerminalAttach{terminal_, width_, height_, accepted()}};
}

TimePoint Attachment::next_wake() const { return next_ask_; }

std::optional<Message> Attachment::seen(const std::string& what, Epoch epoch) const {
    if (!redirect_ || !link_up_ || elsewhere_) return std::nullopt;
    // The incident belongs to the newest redirect; what is seen of an older epoch is not its doing.
    const IncidentId incident = epoch == redirect_->epoch ? redirect_->incident : IncidentId();
    return TerminalSeen{redirect_->terminal, epoch, what, incident};
}

}  // namespace understudy::client
