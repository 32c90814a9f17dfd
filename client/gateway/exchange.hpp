// One request read from a line, one response written to it. Belongs to the gateway's thread.
#pragma once

#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "client/gateway/line.hpp"
#include "client/gateway/network.hpp"

namespace understudy::gateway {

/// The next request, within the bounds of kHeaderBytes and kBodyBytes. `buffer` keeps what was read beyond it.
[[nodiscard]] asio::awaitable<Request> read_request(Line& line, beast::flat_buffer& buffer, error_code& error);

[[nodiscard]] asio::awaitable<void> write_response(Line& line, Response response, error_code& error);

/// Whether it asks for a WebSocket.
[[nodiscard]] bool is_upgrade(const Request& request);

/// How to answer a request that could not be read: nothing if the error is not the request's own fault, so that an
/// answer makes no sense.
[[nodiscard]] std::optional<http::status> refusal_status(error_code error);

}  // namespace understudy::gateway
