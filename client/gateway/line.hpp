// One connection of a browser, with TLS or without: what HTTP and WebSocket read from and write to. The library
// has one type for each; this is both, so that nothing above it exists twice. Belongs to the gateway's thread.
#pragma once

#include <utility>
#include <variant>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket/teardown.hpp>

namespace understudy::gateway {

class Line {
public:
    using Plain = boost::beast::tcp_stream;
    using Secure = boost::beast::ssl_stream<Plain>;
    using executor_type = Plain::executor_type;

    explicit Line(Plain plain) : line_(std::move(plain)) {}
    explicit Line(Secure secure) : line_(std::move(secure)) {}

    [[nodiscard]] bool is_secure() const { return std::holds_alternative<Secure>(line_); }
    /// Precondition: is_secure().
    [[nodiscard]] Secure& secure() { return std::get<Secure>(line_); }

    [[nodiscard]] executor_type get_executor() { return next_layer().get_executor(); }
    /// The socket, with its time limits.
    [[nodiscard]] Plain& next_layer() { return is_secure() ? secure().next_layer() : std::get<Plain>(line_); }
    [[nodiscard]] const Plain& next_layer() const { return is_secure() ? std::get<Secure>(line_).next_layer() : std::get<Plain>(line_); }

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return is_secure() ? secure().async_read_some(buffers, std::forward<Token>(token))
                           : std::get<Plain>(line_).async_read_some(buffers, std::forward<Token>(token));
    }

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return is_secure() ? secure().async_write_some(buffers, std::forward<Token>(token))
                           : std::get<Plain>(line_).async_write_some(buffers, std::forward<Token>(token));
    }

private:
    std::variant<Plain, Secure> line_;
};

/// Asked of us by the library's WebSocket when it has ended. It has said goodbye in its own words by then; another
/// goodbye in those of TLS would have to be waited for.
template <class Handler>
void async_teardown(boost::beast::role_type role, Line& line, Handler&& handler) {
    using boost::beast::websocket::async_teardown;
    async_teardown(role, line.next_layer().socket(), std::forward<Handler>(handler));
}

}  // namespace understudy::gateway
