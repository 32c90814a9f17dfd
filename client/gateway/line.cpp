// See line.hpp.
#include "client/gateway/line.hpp"

#include <string>
#include <variant>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "client/gateway/limits.hpp"
#include "client/gateway/network.hpp"

namespace understudy::gateway {

using Plain = beast::tcp_stream;
using Secure = beast::ssl_stream<Plain>;

struct Line::Streams {
    template <class... Arguments>
    explicit Streams(Arguments&&... arguments) : either(std::forward<Arguments>(arguments)...) {}
    std::variant<Plain, Secure> either;
};

Line::Line(Plain plain) : streams_(std::make_unique<Streams>(std::move(plain))) {}
Line::Line(Plain plain, asio::ssl::context& context)
    : streams_(std::make_unique<Streams>(std::in_place_type<Secure>, std::move(plain), context)) {}
Line::Line(Line&&) noexcept = default;
Line& Line::operator=(Line&&) noexcept = default;
Line::~Line() = default;

bool Line::is_secure() const { return std::holds_alternative<Secure>(streams_->either); }

Plain& Line::next_layer() {
    auto* secure = std::get_if<Secure>(&streams_->either);
    return secure != nullptr ? secure->next_layer() : std::get<Plain>(streams_->either);
}

const Plain& Line::next_layer() const { return const_cast<Line*>(this)->next_layer(); }

void Line::begin(const FirstBuffers<asio::mutable_buffer>& buffers, Completion done) {
    std::visit([&](auto& stream) { stream.async_read_some(buffers, std::move(done)); }, streams_->either);
}

void Line::begin(const FirstBuffers<asio::const_buffer>& buffers, Completion done) {
    std::visit([&](auto& stream) { stream.async_write_some(buffers, std::move(done)); }, streams_->either);
}

namespace {

/// For a browser that was sent here without "https://". What it asked for is not even looked at.
asio::awaitable<void> refuse_plain(Plain& stream) {
    static const std::string kAnswer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 67\r\nConnection: close\r\n\r\n"
        "This port speaks TLS alone: put https:// in front of its address.\r\n";
    error_code error;
    co_await asio::async_write(stream, asio::buffer(kAnswer), into(error));
    stream.socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
}

}  // namespace

asio::awaitable<bool> Line::handshake() {
    next_layer().expires_after(limits::kHandshakeTime);
    error_code error;
    std::array<char, 2048> early{};
    const std::size_t length = co_await next_layer().async_read_some(asio::buffer(early), into(error));
    if (error) co_return false;
    constexpr char kHandshakeRecord = 22;
    if (early[0] != kHandshakeRecord) {
        co_await refuse_plain(next_layer());
        co_return false;
    }
    auto& secure = std::get<Secure>(streams_->either);
    co_await secure.async_handshake(asio::ssl::stream_base::server, asio::buffer(early.data(), length), into(error));
    co_return !error;
}

asio::awaitable<void> Line::say_goodbye() {
    error_code error;
    next_layer().expires_after(limits::kGoodbyeTime);
    if (auto* secure = std::get_if<Secure>(&streams_->either)) co_await secure->async_shutdown(into(error));
    next_layer().socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
}

}  // namespace understudy::gateway
