// See event_socket.hpp.
#include "client/gateway/event_socket.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/core/buffers_to_string.hpp>

#include "client/gateway/finally.hpp"
#include "client/gateway/limits.hpp"

namespace understudy::gateway {

EventSocket::EventSocket(asio::io_context& context, WebSocket socket, Offers wanted)
    : context_(context), socket_(std::move(socket)), wakeup_(context), wanted_(wanted) {
    socket_.exchange(Messages::text, limits::kEventBytes);
}

void EventSocket::push(std::string text) {
    if (ended_) return;
    if (queue_.size() >= limits::kQueuedEvents) return close();
    queue_.push_back(std::move(text));
    wakeup_.wake();
}

void EventSocket::offer(Offer offer) {
    newest_ = std::move(offer);
    wakeup_.wake();
}

SharedText EventSocket::take_offer() {
    const Offer offer = *std::exchange(newest_, std::nullopt);
    const bool follows = sent_ != 0 && sent_ + 1 == offer.number;
    sent_ = offer.number;
    return wanted_ == Offers::changes && follows && offer.change ? offer.change : offer.whole;
}

void EventSocket::close() {
    ended_ = true;
    socket_.cancel();
    wakeup_.wake();
}

asio::awaitable<void> EventSocket::speak() {
    error_code error;
    while (!ended_ && !error) {
        if (!queue_.empty()) {
            const std::string text = std::move(queue_.front());
            queue_.pop_front();
            co_await socket_.write(asio::buffer(text), error);
        } else if (newest_) {
            const SharedText text = take_offer();
            co_await socket_.write(asio::buffer(*text), error);
        } else {
            co_await wakeup_.wait_until(Clock::time_point::max());
        }
    }
    // Ends the listening half, too.
    socket_.cancel();
}

asio::awaitable<void> EventSocket::run(std::shared_ptr<EventSocket> self, std::function<void(const std::string&)> heard) {
    asio::co_spawn(self->context_, [self]() -> asio::awaitable<void> { co_await self->speak(); }, asio::detached);
    const Finally ends([&] {
        self->ended_ = true;
        self->wakeup_.wake();
    });
    error_code error;
    beast::flat_buffer buffer;
    while (!self->ended_) {
        co_await self->socket_.read(buffer, error);
        if (error) break;
        heard(beast::buffers_to_string(buffer.data()));
        buffer.clear();
    }
}

}  // namespace understudy::gateway
