// See connection.hpp.
#include "client/terminal/connection.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include <spdlog/spdlog.h>

namespace understudy::terminal {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSilenceCheck = 1s;
constexpr std::chrono::milliseconds kSilent{5000};
/// Redirects come rarely; more connections than this at once would mean that ending them does not work.
constexpr std::size_t kMostRetired = 64;

}  // namespace

Connection::Connection(std::string terminal, viewer::Size wish, Listener& listener)
    : attachment_(std::move(terminal), static_cast<std::uint32_t>(wish.width), static_cast<std::uint32_t>(wish.height)),
      listener_(listener), news_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    assert(news_fd_.get() >= 0 && "out of file descriptors");
}

Connection::~Connection() = default;

Result<> Connection::open(const client::Configuration& configuration) {
    auto link = client::Link::open(configuration, inbox_.sink());
    if (!link) return tl::unexpected(link.error());
    link_ = std::move(*link);
    return {};
}

std::vector<int> Connection::file_descriptors() const { return {inbox_.file_descriptor(), news_fd_.get()}; }

TimePoint Connection::now() {
    return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

TimePoint Connection::next_wake() const { return std::min(attachment_.next_wake(), silence_check_); }

void Connection::step() {
    // The desktop first: what was lost is known before the redirect that repairs it.
    take_news();
    while (const auto event = inbox_.take()) take(*event);
    if (now() >= silence_check_) look_for_silence();
    for (const Message& message : attachment_.due(now())) link_->send(message);
    std::erase_if(retired_, [](const auto& old) { return old->has_ended(); });
}

// ------------------------------------------------------------------ the manager

void Connection::take(const client::LinkEvent& event) {
    if (std::holds_alternative<client::LinkUp>(event)) {
        attachment_.link_up(now());
        known_.linked = true;
        known_.denied = false;
        known_.link_problem.clear();
        spdlog::info("the manager has let us in");
    } else if (const auto* down = std::get_if<client::LinkDown>(&event)) {
        attachment_.link_down();
        known_.linked = false;
        known_.denied = down->denied;
        known_.link_problem = down->reason;
        spdlog::warn("{}", down->reason);
    } else if (const auto* unreadable = std::get_if<client::Unreadable>(&event)) {
        spdlog::warn("{}", unreadable->reason);
    } else {
        take_message(std::get<client::Received>(event).message);
    }
    listener_.changed();
}

void Connection::take_message(const Message& message) {
    using Taken = client::Attachment::Taken;
    if (const auto* redirect = std::get_if<TerminalRedirect>(&message)) {
        take_redirect(*redirect);
    } else if (const auto* waiting = std::get_if<TerminalWaiting>(&message)) {
        if (attachment_.take(*waiting, now()) != Taken::waiting) return;
        known_.waiting = waiting->reason;
        known_.refused.clear();
    } else if (const auto* refused = std::get_if<TerminalRefused>(&message)) {
        if (attachment_.take(*refused, now()) != Taken::refused) return;
        if (known_.refused != refused->reason) spdlog::warn("refused: {}", refused->reason);
        known_.refused = refused->reason;
        known_.refused_code = static_cast<ErrorCode>(refused->code);
    } else if (const auto* taken = std::get_if<TerminalTaken>(&message)) {
        if (attachment_.take(*taken, now()) != Taken::elsewhere) return;
        spdlog::info("{}", taken->reason);
        known_.elsewhere = true;
        leave_desktop();
    } else if (const auto* notice = std::get_if<TerminalNotice>(&message)) {
        if (attachment_.ours(notice->terminal)) listener_.notice(notice->text);
    }
}

void Connection::take_redirect(const TerminalRedirect& redirect) {
    using Taken = client::Attachment::Taken;
    const Taken taken = attachment_.take(redirect, now());
    if (taken == Taken::stale) {
        spdlog::warn("refused a redirect to epoch {}: epoch {} is accepted already", redirect.epoch, attachment_.accepted());
    }
    if (taken != Taken::moved && taken != Taken::refreshed) return;
    known_.waiting.clear();
    known_.refused.clear();
    known_.elsewhere = false;
    if (taken == Taken::moved) {
        spdlog::info("epoch {} of the desktop is at {}:{}", redirect.epoch, redirect.endpoint.host, redirect.endpoint.port);
        known_.moving = known_.pictured;
    }
    // What is connected stays; a door that did not let us in may like the fresh ticket better.
    if (taken == Taken::moved || desktop_ == nullptr || failed_) go();
}

void Connection::go() {
    leave_desktop();
    const TerminalRedirect& target = *attachment_.redirect();
    desktop_ = std::make_unique<viewer::Link>(
        viewer::Source{target.endpoint.host, target.endpoint.port, target.endpoint.key, target.ticket.text, target.epoch, Purpose::desktop},
        "copyrect zrle hextile raw", news_fd_.get());
}

void Connection::leave_desktop() {
    if (connected_) listener_.parted();
    connected_ = pictured_ = failed_ = false;
    known_.silent = false;
    silence_check_ = kNever;
    if (desktop_ == nullptr) return;
    desktop_->stop();
    assert(retired_.size() < kMostRetired);
    retired_.push_back(std::move(desktop_));
}

void Connection::report(const char* what) {
    if (desktop_ == nullptr) return;
    if (const auto message = attachment_.seen(what, desktop_->source().epoch)) link_->send(*message);
}

void Connection::take_back() {
    attachment_.take_back(now());
    known_.elsewhere = false;
    listener_.changed();
}

void Connection::detach() {
    if (link_ && known_.linked && !attachment_.elsewhere()) link_->send(TerminalDetach{attachment_.terminal()});
}

// ------------------------------------------------------------------ the desktop

void Connection::take_news() {
    std::uint64_t count = 0;
    (void)!read(news_fd_.get(), &count, sizeof count);
    if (desktop_ == nullptr) return;
    viewer::LinkNews news = desktop_->take_news();
    for (const viewer::LinkEvent& event : news.events) {
        std::visit([this](const auto& known) { note(known); }, event);
    }
    if (news.picture && connected_) {
        pictured_ = true;
        known_.pictured = true;
        known_.moving = false;
        last_failure_.clear();
        listener_.picture_changed(*news.picture);
    }
    if (known_.silent) look_for_silence();
    if (!news.events.empty()) listener_.changed();
}

void Connection::note(const viewer::LinkConnected&) {
    connected_ = true;
    failed_ = false;
    silence_check_ = now() + kSilenceCheck;
    report("connected");
    listener_.connected();
}

void Connection::note(const viewer::LinkUnreachable& event) { stream_failed("cannot be reached", event.reason); }

void Connection::note(const viewer::LinkRefused& event) { stream_failed("did not let us in", event.reason); }

void Connection::note(const viewer::LinkLost& event) {
    report("lost");
    stream_failed("was lost", event.reason);
}

void Connection::stream_failed(const std::string& what, const std::string& reason) {
    if (connected_) listener_.parted();
    connected_ = pictured_ = false;
    known_.silent = false;
    silence_check_ = kNever;
    failed_ = true;
    if (std::exchange(last_failure_, what + reason) != what + reason) {
        spdlog::info("the desktop of epoch {} {}: {}", desktop_->source().epoch, what, reason);
    }
    attachment_.stream_lost(now());
}

void Connection::look_for_silence() {
    silence_check_ = connected_ ? now() + kSilenceCheck : kNever;
    const bool silent = pictured_ && desktop_->silence() >= kSilent;
    if (silent == known_.silent) return;
    known_.silent = silent;
    listener_.changed();
}

void Connection::send(viewer::Outgoing outgoing) {
    if (desktop_ != nullptr && !known_.silent) desktop_->send(std::move(outgoing));
}

void Connection::picture_shown() {
    spdlog::info("the picture of epoch {} is on the screen", attachment_.accepted());
    report("picture");
}

}  // namespace understudy::terminal
