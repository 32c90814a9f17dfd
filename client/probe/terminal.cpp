// See terminal.hpp.
#include "client/probe/terminal.hpp"

#include <algorithm>
#include <utility>

namespace understudy::client {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstRetry = 50ms;
constexpr Duration kLastRetry = 1s;
constexpr Duration kDoorTime = 5s;

}  // namespace

ProbeTerminal::ProbeTerminal(std::string terminal, std::uint32_t width, std::uint32_t height,
                             std::function<void(const Seen&)> listener)
    : attachment_(std::move(terminal), width, height), listener_(std::move(listener)), retry_after_(kFirstRetry) {}

ProbeTerminal::~ProbeTerminal() = default;

Result<> ProbeTerminal::open(const Configuration& configuration) {
    auto link = Link::open(configuration, inbox_.sink());
    if (!link) return tl::unexpected(link.error());
    link_ = std::move(*link);
    return {};
}

TimePoint ProbeTerminal::now() {
    return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

void ProbeTerminal::tell(const std::string& event, Epoch epoch, const std::string& text, const Area& area) {
    const auto& redirect = attachment_.redirect();
    const IncidentId incident = redirect && redirect->epoch == epoch ? redirect->incident : IncidentId();
    listener_({event, Instant::now(), epoch, incident, area, text});
}

void ProbeTerminal::report(const std::string& what, Epoch epoch) {
    if (const auto message = attachment_.seen(what, epoch)) link_->send(*message);
}

void ProbeTerminal::add_polled(std::vector<pollfd>& items) const {
    items.push_back({inbox_.file_descriptor(), POLLIN, 0});
    if (stream_ && stream_->file_descriptor() >= 0) {
        const int wanted = POLLIN | (stream_->wants_to_write() ? POLLOUT : 0);
        items.push_back({stream_->file_descriptor(), static_cast<short>(wanted), 0});
    }
}

TimePoint ProbeTerminal::next_wake() const { return std::min({attachment_.next_wake(), retry_at_, give_up_at_}); }

void ProbeTerminal::step() {
    // The stream first: what it lost is known before the redirect that repairs it.
    if (stream_ && stream_->file_descriptor() >= 0) {
        pollfd item{stream_->file_descriptor(), POLLIN | POLLOUT, 0};
        if (::poll(&item, 1, 0) > 0) stream_->step();
    }
    look_at_stream();
    while (const auto event = inbox_.take()) take(*event);
    if (now() >= retry_at_) connect();
    if (now() >= give_up_at_ && stream_) {
        tell("unreachable", stream_->epoch(), "the door did not answer in time");
        lost();
    }
    for (const Message& message : attachment_.due(now())) link_->send(message);
}

void ProbeTerminal::take(const LinkEvent& event) {
    if (std::holds_alternative<LinkUp>(event)) {
        attachment_.link_up(now());
        tell("link_up");
    } else if (const auto* down = std::get_if<LinkDown>(&event)) {
        attachment_.link_down();
        tell("link_down", 0, down->reason);
    } else if (const auto* unreadable = std::get_if<Unreadable>(&event)) {
        tell("unreadable", 0, unreadable->reason);
    } else {
        take_message(std::get<Received>(event).message);
    }
}

void ProbeTerminal::take_message(const Message& message) {
    using Taken = Attachment::Taken;
    if (const auto* redirect = std::get_if<TerminalRedirect>(&message)) {
        const Taken taken = attachment_.take(*redirect, now());
        if (taken == Taken::stale) tell("stale", redirect->epoch, "refused: an older epoch than accepted");
        if (taken == Taken::moved || (taken == Taken::refreshed && !stream_ && retry_at_ == kNever)) {
            tell("redirect", redirect->epoch, redirect->endpoint.host + ":" + std::to_string(redirect->endpoint.port));
            retry_after_ = kFirstRetry;
            if (taken == Taken::moved) bearer_ = Bearer(redirect->ticket.text);
            bearer_.set_ticket(redirect->ticket.text);
            connect();
        } else if (taken == Taken::refreshed) {
            bearer_.set_ticket(redirect->ticket.text);
        }
    } else if (const auto* waiting = std::get_if<TerminalWaiting>(&message)) {
        if (attachment_.take(*waiting, now()) == Taken::waiting) tell("waiting", 0, waiting->reason);
    } else if (const auto* refused = std::get_if<TerminalRefused>(&message)) {
        if (attachment_.take(*refused, now()) == Taken::refused) tell("refused", 0, refused->reason);
    } else if (const auto* taken = std::get_if<TerminalTaken>(&message)) {
        if (attachment_.take(*taken, now()) != Taken::elsewhere) return;
        drop();
        retry_at_ = kNever;
        tell("taken", 0, taken->reason);
    } else if (const auto* notice = std::get_if<TerminalNotice>(&message)) {
        if (attachment_.ours(notice->terminal)) tell("notice", 0, notice->text);
    }
}

void ProbeTerminal::drop() {
    if (stream_ && stream_->rfb().complete()) last_picture_ = stream_->rfb().picture();
    stream_.reset();
    told_connected_ = false;
    give_up_at_ = kNever;
}

void ProbeTerminal::connect() {
    drop();
    retry_at_ = kNever;
    stream_ = std::make_unique<Stream>(pump_, *attachment_.redirect(), bearer_);
    give_up_at_ = now() + kDoorTime;
    look_at_stream();
}

void ProbeTerminal::lost() {
    attachment_.stream_lost(now());
    drop();
    retry_at_ = now() + retry_after_;
    retry_after_ = std::min(retry_after_ * 2, kLastRetry);
}

void ProbeTerminal::look_at_stream() {
    if (!stream_) return;
    const Epoch epoch = stream_->epoch();
    if (stream_->state() == Stream::State::admitted && !told_connected_) {
        told_connected_ = true;
        give_up_at_ = kNever;
        bearer_.admitted(stream_->renewal());
        tell("connected", epoch);
        report("connected", epoch);
    }
    for (const RfbClient::Update& update : stream_->rfb().take_updates()) {
        if (update.first_complete) {
            picture_epoch_ = epoch;
            retry_after_ = kFirstRetry;
            tell("picture", epoch, {}, stream_->rfb().picture().area());
            report("picture", epoch);
        }
        tell("update", epoch, {}, update.bounds);
    }
    if (const std::string text = stream_->rfb().take_clipboard(); !text.empty()) tell("clipboard", epoch, text);
    if (stream_->state() == Stream::State::ended) {
        const std::string reason = stream_->reason();
        if (stream_->is_void() && bearer_.voided()) {
            connect();
            return;
        }
        if (told_connected_) report("lost", epoch);
        tell(told_connected_ ? "lost" : "unreachable", epoch, reason);
        lost();
    }
}

const TerminalRedirect* ProbeTerminal::followed() const {
    return stream_ && stream_->state() == Stream::State::admitted ? &stream_->target() : nullptr;
}

Stream* ProbeTerminal::live() { return stream_ && stream_->rfb().ready() ? stream_.get() : nullptr; }

const Picture& ProbeTerminal::picture() const {
    return stream_ && stream_->rfb().complete() ? stream_->rfb().picture() : last_picture_;
}

void ProbeTerminal::take_back() { attachment_.take_back(now()); }

void ProbeTerminal::detach() {
    if (link_) link_->send(TerminalDetach{attachment_.terminal()});
}

}  // namespace understudy::client
