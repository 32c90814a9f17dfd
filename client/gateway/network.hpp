// Short names for the network library, and the one thing it lacks: waiting to be told.
// Everything here belongs to the gateway's single thread.
#pragma once

#include <chrono>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

namespace understudy::gateway {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

using Clock = std::chrono::steady_clock;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

/// Completion token: `co_await` the operation and put its error, if any, into `error`.
[[nodiscard]] inline auto into(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

/// Wakes one waiter. Wake-ups are not counted and may come without cause: whoever waits looks at what it
/// waits for before and after. At most one waiter at a time.
class Wakeup {
public:
    explicit Wakeup(asio::io_context& context) : timer_(context) {}

    void wake() { timer_.cancel(); }

    [[nodiscard]] asio::awaitable<void> wait_until(Clock::time_point deadline) {
        error_code ignored;
        timer_.expires_at(deadline);
        co_await timer_.async_wait(into(ignored));
    }

private:
    asio::steady_timer timer_;
};

}  // namespace understudy::gateway
