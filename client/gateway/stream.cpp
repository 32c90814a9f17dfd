// See stream.hpp.
#include "client/gateway/stream.hpp"

#include <array>
#include <map>
#include <string>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "client/gateway/limits.hpp"
#include "protocol/door_line.hpp"
#include "streams/pump.hpp"

namespace understudy::gateway {
namespace {

/// The way to all doors: TLS, and what they gave for the next time. It belongs to the context, as all streams do, and
/// outlives them.
class Doors final : public asio::execution_context::service {
public:
    static asio::execution_context::id id;
    explicit Doors(asio::execution_context& context) : asio::execution_context::service(context) {}

    /// What there is in hand for this desktop, kept beyond a stream: a page that comes back enters with the renewal,
    /// also while the manager is away.
    Bearer& bearer_for(const TerminalRedirect& target) {
        Kept& kept = bearers_[target.terminal];
        if (kept.epoch != target.epoch) kept = {target.epoch, Bearer(target.ticket.text)};
        kept.bearer.set_ticket(target.ticket.text);
        return kept.bearer;
    }

    streams::Pump pump;

private:
    struct Kept {
        Epoch epoch = 0;
        Bearer bearer;
    };
    void shutdown() override {}
    std::map<TerminalId, Kept> bearers_;  ///< as many as there are terminals; an epoch's goes with the next epoch
};
asio::execution_context::id Doors::id;

/// Both halves of a stream share it, and the one that ends last destroys it.
class Stream final : public RoomStream, public std::enable_shared_from_this<Stream> {
public:
    Stream(asio::io_context& context, std::shared_ptr<TerminalRoom> room, WebSocket page)
        : context_(context), room_(std::move(room)), page_(std::move(page)), doors_(asio::use_service<Doors>(context)), door_(context), wakeup_(context) {
        page_.exchange(Messages::binary, limits::kStreamMessageBytes);
        room_->add_stream(*this);
    }

    ~Stream() override { room_->remove_stream(*this); }

    void outdated() override {
        outdated_ = true;
        close_door();
        wakeup_.wake();
    }

    /// Whoever sits there may not any more.
    void expelled() {
        page_gone_ = true;
        outdated();
        page_.cut();
    }

    [[nodiscard]] Epoch epoch() const override { return epoch_; }
    void look_again() override { wakeup_.wake(); }

    asio::awaitable<void> serve() {
        if (!co_await wait_for_redirect()) co_return co_await end(StreamEnd::nowhere, "the manager has not said where the desktop is");
        std::string early;
        std::string problem;
        const StreamEnd entered = co_await enter(early, problem);
        if (!problem.empty()) {
            room_->stream_lost(epoch_, problem);
            co_return co_await end(entered, problem);
        }
        room_->seen("connected", epoch_);
        asio::co_spawn(context_, [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->page_to_door(); },
                       asio::detached);
        co_await door_to_page(std::move(early));
    }

private:
    asio::awaitable<bool> wait_for_redirect() {
        const auto deadline = Clock::now() + limits::kRedirectTime;
        const auto has_target = [this] { return room_->redirect().has_value() && !room_->elsewhere(); };
        while (!has_target() && Clock::now() < deadline && !outdated_) co_await wakeup_.wait_until(deadline);
        co_return has_target();
    }

    /// Connects and is let in. On failure `problem` says why, and the result is how to tell the page.
    /// `early`: stream bytes that came with the answer.
    asio::awaitable<StreamEnd> enter(std::string& early, std::string& problem) {
        const TerminalRedirect target = *room_->redirect();  // a copy: a newer one may come meanwhile
        epoch_ = target.epoch;
        for (;;) {
            Bearer bearer = doors_.bearer_for(target);
            DoorAnswer answer;
            problem = co_await knock(target.endpoint, bearer, answer, early);
            if (answer.state() == DoorAnswer::State::admitted) {
                doors_.bearer_for(target).admitted(answer.renewal());
                if (problem.empty()) co_return StreamEnd::door_lost;
            } else if (answer.state() == DoorAnswer::State::refused) {
                close_door();
                // Another page of this terminal may have come with the same renewal, and have been first.
                Bearer& kept = doors_.bearer_for(target);
                if (answer.is_void() && (kept.renewal() != bearer.renewal() || kept.voided())) continue;
                problem = answer.reason();
                co_return StreamEnd::refused;
            }
            problem = "the door at " + target.endpoint.host + ":" + std::to_string(target.endpoint.port) + ": " + problem;
            co_return StreamEnd::door_lost;
        }
    }

    /// One attempt; what went wrong, or nothing.
    asio::awaitable<std::string> knock(Endpoint where, Bearer bearer, DoorAnswer& answer, std::string& early) {
        auto secured = doors_.pump.dial(where);
        if (!secured) co_return secured.error().message;
        error_code error;
        door_ = asio::local::stream_protocol::socket(context_, asio::local::stream_protocol(), secured->socket.release());
        asio::steady_timer patience(context_, limits::kDoorTime);
        patience.async_wait([self = shared_from_this()](error_code cancelled) {
            if (!cancelled) self->close_door();
        });
        const std::string greeting = bearer.first_line(Purpose::desktop);
        co_await asio::async_write(door_, asio::buffer(greeting), into(error));
        std::array<char, 4096> buffer{};
        while (!error && answer.state() == DoorAnswer::State::incomplete) {
            const std::size_t length = co_await door_.async_read_some(asio::buffer(buffer), into(error));
            const std::size_t used = answer.take({buffer.data(), length});
            early.assign(buffer.data() + used, length - used);
        }
        if (answer.state() == DoorAnswer::State::admitted) co_await asio::async_write(door_, asio::buffer(kDoorGo), into(error));
        patience.cancel();
        if (answer.state() == DoorAnswer::State::refused || !error) co_return std::string();
        const bool late = error == asio::error::operation_aborted;
        co_return late ? "no answer" : error == asio::error::eof ? secured->ending->words() : error.message();
    }

    void close_door() {
        error_code ignored;
        door_.close(ignored);
    }

    /// One buffer is under way at a time: a page that reads slowly slows its door down, and costs no memory.
    asio::awaitable<void> door_to_page(std::string early) {
        error_code door_error;
        error_code page_error;
        if (!early.empty()) co_await page_.write(asio::buffer(early), page_error);
        std::string buffer(limits::kSpliceBytes, '\0');
        while (!door_error && !page_error) {
            const std::size_t length = co_await door_.async_read_some(asio::buffer(buffer), into(door_error));
            if (length > 0) co_await page_.write(asio::buffer(buffer.data(), length), page_error);
        }
        if (outdated_) co_return co_await end(StreamEnd::outdated, "the desktop has moved");
        if (page_error || page_gone_) {
            close_door();
            co_return;
        }
        room_->seen("lost", epoch_);
        room_->stream_lost(epoch_, door_error.message());
        co_await end(StreamEnd::door_lost, "the desktop's node ended the stream");
    }

    asio::awaitable<void> page_to_door() {
        error_code error;
        beast::flat_buffer buffer;
        while (!error) {
            co_await page_.read(buffer, error);
            if (error) break;
            co_await asio::async_write(door_, buffer.data(), into(error));
            buffer.clear();
            // The other half sees the broken door as well and says so; until then the page goes unheard.
            if (error) co_return;
        }
        page_gone_ = true;
        close_door();
    }

    asio::awaitable<void> end(StreamEnd how, std::string text) {
        close_door();
        co_await page_.close(static_cast<std::uint16_t>(how), text);
    }

    asio::io_context& context_;
    std::shared_ptr<TerminalRoom> room_;
    WebSocket page_;
    Doors& doors_;
    asio::local::stream_protocol::socket door_;
    Wakeup wakeup_;
    Epoch epoch_ = 0;
    bool outdated_ = false;
    bool page_gone_ = false;
};

}  // namespace

asio::awaitable<void> serve_stream(asio::io_context& context, std::shared_ptr<TerminalRoom> room, WebSocket socket,
                                   std::shared_ptr<Visit> visit) {
    const auto stream = std::make_shared<Stream>(context, std::move(room), std::move(socket));
    visit->end = [weak = std::weak_ptr(stream)] {
        if (const auto there = weak.lock()) there->expelled();
    };
    co_await stream->serve();
}

}  // namespace understudy::gateway
