// See web_socket.hpp.
#include "client/gateway/web_socket.hpp"

#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/teardown.hpp>

#include "client/gateway/limits.hpp"

namespace understudy::gateway {

namespace websocket = beast::websocket;

/// Asked of us by the library when a WebSocket has ended. It has said goodbye in its own words by then; another
/// goodbye in those of TLS would have to be waited for.
template <class Handler>
void async_teardown(beast::role_type role, Line& line, Handler&& handler) {
    websocket::async_teardown(role, line.next_layer().socket(), std::forward<Handler>(handler));
}

struct WebSocket::Stream {
    explicit Stream(Line line) : socket(std::move(line)) {}
    websocket::stream<Line> socket;
};

WebSocket::WebSocket(Line line) {
    line.next_layer().expires_never();
    stream_ = std::make_unique<Stream>(std::move(line));
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = limits::kRequestTime;
    timeout.idle_timeout = limits::kSilence;
    timeout.keep_alive_pings = true;
    stream_->socket.set_option(timeout);
    stream_->socket.auto_fragment(false);  // a picture goes out as it came, without being cut and copied
}

WebSocket::WebSocket(WebSocket&&) noexcept = default;
WebSocket::~WebSocket() = default;

asio::awaitable<void> WebSocket::accept(const Request& request, error_code& error) {
    co_await stream_->socket.async_accept(request, into(error));
}

void WebSocket::exchange(Messages sent, std::size_t longest_heard) {
    stream_->socket.binary(sent == Messages::binary);
    stream_->socket.read_message_max(longest_heard);
}

asio::awaitable<void> WebSocket::read(beast::flat_buffer& buffer, error_code& error) {
    co_await stream_->socket.async_read(buffer, into(error));
}

asio::awaitable<void> WebSocket::write(asio::const_buffer message, error_code& error) {
    co_await stream_->socket.async_write(message, into(error));
}

asio::awaitable<void> WebSocket::close(std::uint16_t code, std::string_view words) {
    websocket::close_reason reason;
    reason.code = code;
    words = words.substr(0, 120);
    reason.reason.assign(words.data(), words.size());
    error_code ignored;
    co_await stream_->socket.async_close(reason, into(ignored));
}

void WebSocket::cancel() { beast::get_lowest_layer(stream_->socket).cancel(); }

void WebSocket::cut() { beast::get_lowest_layer(stream_->socket).close(); }

}  // namespace understudy::gateway
