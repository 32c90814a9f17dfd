// See exchange.hpp.
#include "client/gateway/exchange.hpp"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "client/gateway/limits.hpp"

namespace understudy::gateway {

asio::awaitable<Request> read_request(Line& line, beast::flat_buffer& buffer, error_code& error) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(limits::kHeaderBytes);
    parser.body_limit(limits::kBodyBytes);
    co_await http::async_read(line, buffer, parser, into(error));
    co_return error ? Request() : parser.release();
}

asio::awaitable<void> write_response(Line& line, Response response, error_code& error) {
    http::serializer<false, http::string_body> serializer(response);
    co_await http::async_write(line, serializer, into(error));
}

bool is_upgrade(const Request& request) { return beast::websocket::is_upgrade(request); }

std::optional<http::status> refusal_status(error_code error) {
    static const auto& category = http::make_error_code(http::error::header_limit).category();
    if (error.category() != category || error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
    if (error == http::error::header_limit) return http::status::request_header_fields_too_large;
    if (error == http::error::body_limit) return http::status::payload_too_large;
    return http::status::bad_request;
}

}  // namespace understudy::gateway
