// See terminal_room.hpp.
#include "client/gateway/terminal_room.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <vector>

namespace understudy::gateway {
namespace {

std::string text_of(const nlohmann::json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

TerminalRoom::TerminalRoom(asio::io_context& context, std::string terminal)
    : context_(context), attachment_(std::move(terminal), 0, 0), wakeup_(context), empty_since_(Clock::now()) {}

TerminalRoom::~TerminalRoom() {
    link_.reset();
    *alive_ = false;
    wakeup_.wake();
}

Result<> TerminalRoom::open(const client::Configuration& configuration) {
    auto link = client::Link::open(configuration, [this, alive = alive_](client::LinkEvent event) {
        asio::post(context_, [this, alive, event = std::move(event)] {
            if (*alive) take(event);
        });
    });
    if (!link) return tl::unexpected(link.error());
    link_ = std::move(*link);
    asio::co_spawn(context_, ask_in_time(alive_), asio::detached);
    return {};
}

TimePoint TerminalRoom::now() const {
    return TimePoint(std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()));
}

asio::awaitable<void> TerminalRoom::ask_in_time(std::shared_ptr<bool> alive) {
    while (*alive) {
        send_due();
        const TimePoint next = attachment_.next_wake();
        co_await wakeup_.wait_until(next == kNever ? Clock::time_point::max() : Clock::time_point(next.time_since_epoch()));
    }
}

void TerminalRoom::send_due() {
    if (!link_) return;
    for (const Message& message : attachment_.due(now())) link_->send(message);
}

void TerminalRoom::take(const client::LinkEvent& event) {
    if (std::holds_alternative<client::LinkUp>(event)) {
        link_up_ = true;
        attachment_.link_up(now());
        send_due();
        tell_pages(text_of({{"event", "manager"}, {"connected", true}}));
    } else if (const auto* down = std::get_if<client::LinkDown>(&event)) {
        link_up_ = false;
        attachment_.link_down();
        tell_pages(text_of({{"event", "manager"}, {"connected", false}, {"text", down->reason}}));
    } else if (const auto* received = std::get_if<client::Received>(&event)) {
        take(received->message);
    }
    wakeup_.wake();
}

void TerminalRoom::take(const Message& message) {
    using Taken = client::Attachment::Taken;
    if (const auto* redirect = std::get_if<TerminalRedirect>(&message)) {
        const Taken taken = attachment_.take(*redirect, now());
        if (taken == Taken::stale) {
            spdlog::warn("terminal {}: refused a redirect to epoch {}, {} is accepted already", attachment_.terminal(),
                         redirect->epoch, attachment_.accepted());
        }
        if (taken != Taken::moved && taken != Taken::refreshed) return;
        const bool tell = taken == Taken::moved || last_ != Last::redirect;
        last_ = Last::redirect;
        if (tell) tell_pages(state_text());
        if (taken == Taken::moved) {
            spdlog::info("terminal {}: epoch {} is served at {}:{}", attachment_.terminal(), redirect->epoch,
                         redirect->endpoint.host, redirect->endpoint.port);
        }
        for (RoomStream* stream : std::vector<RoomStream*>(streams_.begin(), streams_.end())) {
            if (stream->epoch() != 0 && stream->epoch() < redirect->epoch) stream->outdated();
            stream->look_again();
        }
    } else if (const auto* waiting = std::get_if<TerminalWaiting>(&message)) {
        if (attachment_.take(*waiting, now()) != Taken::waiting) return;
        last_ = Last::waiting;
        tell_pages(state_text());
    } else if (const auto* refused = std::get_if<TerminalRefused>(&message)) {
        if (attachment_.take(*refused, now()) != Taken::refused) return;
        spdlog::warn("terminal {}: refused by the manager: {}", attachment_.terminal(), refused->reason);
        last_ = Last::refused;
        tell_pages(state_text());
    } else if (const auto* taken = std::get_if<TerminalTaken>(&message)) {
        if (attachment_.take(*taken, now()) != Taken::elsewhere) return;
        spdlog::info("terminal {}: another place has its desktop now", attachment_.terminal());
        last_ = Last::elsewhere;
        tell_pages(state_text());
        end_streams();
    } else if (const auto* notice = std::get_if<TerminalNotice>(&message)) {
        if (attachment_.ours(notice->terminal)) tell_pages(text_of({{"event", "notice"}, {"text", notice->text}}));
    }
}

void TerminalRoom::take_back() {
    if (!attachment_.elsewhere()) return;
    attachment_.take_back(now());
    last_ = Last::nothing;
    wakeup_.wake();
}

std::string TerminalRoom::state_text() const {
    switch (last_) {
        case Last::nothing: return {};
        case Last::redirect:
            return text_of({{"event", "redirect"}, {"epoch", attachment_.redirect()->epoch},
                            {"incident", attachment_.redirect()->incident.value}});
        case Last::waiting:
            return text_of({{"event", "waiting"}, {"text", attachment_.reason()}, {"retry_ms", attachment_.retry_ms()}});
        case Last::refused: return text_of({{"event", "refused"}, {"text", attachment_.reason()}});
        case Last::elsewhere: return text_of({{"event", "elsewhere"}, {"text", attachment_.reason()}});
    }
    return {};
}

void TerminalRoom::tell_pages(const std::string& text) {
    for (const auto& page : pages_) page->push(text);
}

void TerminalRoom::add_page(std::shared_ptr<EventSocket> page) {
    page->push(text_of({{"event", "manager"}, {"connected", link_up_}}));
    if (last_ != Last::nothing) page->push(state_text());
    pages_.insert(std::move(page));
    empty_since_.reset();
}

void TerminalRoom::remove_page(const std::shared_ptr<EventSocket>& page) {
    pages_.erase(page);
    if (pages_.empty() && streams_.empty()) empty_since_ = Clock::now();
}

void TerminalRoom::add_stream(RoomStream& stream) {
    streams_.insert(&stream);
    empty_since_.reset();
}

void TerminalRoom::remove_stream(RoomStream& stream) {
    streams_.erase(&stream);
    if (pages_.empty() && streams_.empty()) empty_since_ = Clock::now();
}

std::optional<Clock::time_point> TerminalRoom::empty_since() const { return empty_since_; }

void TerminalRoom::seen(const std::string& what, Epoch epoch) {
    if (!link_) return;
    if (const auto message = attachment_.seen(what, epoch)) link_->send(*message);
}

void TerminalRoom::stream_lost(Epoch epoch, const std::string& reason) {
    if (epoch < attachment_.accepted()) return;
    spdlog::info("terminal {}: the stream of epoch {} broke: {}", attachment_.terminal(), epoch, reason);
    attachment_.stream_lost(now());
    wakeup_.wake();
}

void TerminalRoom::leave() {
    if (link_ && link_up_ && !attachment_.elsewhere()) link_->send(TerminalDetach{attachment_.terminal()});
}

void TerminalRoom::close_pages() {
    for (const auto& page : pages_) page->close();
    end_streams();
}

void TerminalRoom::end_streams() {
    for (RoomStream* stream : std::vector<RoomStream*>(streams_.begin(), streams_.end())) stream->outdated();
}

}  // namespace understudy::gateway
