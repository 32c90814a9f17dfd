// See connection.hpp.
#include "client/gateway/connection.hpp"

#include <nlohmann/json.hpp>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "client/gateway/answers.hpp"
#include "client/gateway/limits.hpp"
#include "client/gateway/server.hpp"
#include "client/gateway/stream.hpp"

namespace understudy::gateway {
namespace {

http::status status_of(error_code error) {
    if (error == http::error::header_limit) return http::status::request_header_fields_too_large;
    if (error == http::error::body_limit) return http::status::payload_too_large;
    return http::status::bad_request;
}

/// True if the error is the request's own fault, so that an answer makes sense.
bool is_malformed(error_code error) {
    static const auto& category = http::make_error_code(http::error::header_limit).category();
    return error.category() == category && error != http::error::end_of_stream && error != http::error::partial_message;
}

void heard_from_terminal(TerminalRoom& room, const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return;
    if (json.value("back", false)) room.take_back();
    const auto seen = json.find("seen");
    const auto epoch = json.find("epoch");
    // The gateway itself sees connections come and go; only the page knows when there is a picture.
    if (seen != json.end() && *seen == "picture" && epoch != json.end() && epoch->is_number_unsigned()) {
        room.seen("picture", epoch->get<Epoch>());
    }
}

asio::awaitable<void> serve_terminal_events(Server& server, TerminalEvents asked, WebSocket socket) {
    const auto room = server.room(asked.terminal, asked.place);
    const auto page = std::make_shared<EventSocket>(server.context(), std::move(socket));
    if (!room) {
        page->push(nlohmann::json{{"event", "refused"}, {"text", room.error().message}}.dump());
    } else {
        (*room)->add_page(page);
    }
    co_await EventSocket::run(page, [&](const std::string& text) {
        if (room) heard_from_terminal(**room, text);
    });
    if (room) (*room)->remove_page(page);
}

asio::awaitable<void> serve_watch(Server& server, Watch asked, WebSocket socket) {
    const auto page = std::make_shared<EventSocket>(server.context(), std::move(socket), asked.changes ? Offers::changes : Offers::whole);
    server.desk().add_watcher(page);
    co_await EventSocket::run(page, [](const std::string&) {});
    server.desk().remove_watcher(page);
}

asio::awaitable<void> serve_websocket(Server& server, beast::tcp_stream stream, const Request& request, Asked asked) {
    stream.expires_never();  // the WebSocket has time-outs of its own
    WebSocket socket(std::move(stream));
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = limits::kRequestTime;
    timeout.idle_timeout = limits::kSilence;
    timeout.keep_alive_pings = true;
    socket.set_option(timeout);
    socket.auto_fragment(false);  // a picture goes out as it came, without being cut and copied
    error_code error;
    co_await socket.async_accept(request, into(error));
    if (error) co_return;
    if (const auto* events = std::get_if<TerminalEvents>(&asked)) {
        co_await serve_terminal_events(server, *events, std::move(socket));
    } else if (const auto* wanted = std::get_if<TerminalStream>(&asked)) {
        const auto room = server.room(wanted->terminal, wanted->place);
        if (room) co_await serve_stream(server.context(), *room, std::move(socket));
    } else {
        co_await serve_watch(server, std::get<Watch>(asked), std::move(socket));
    }
}

bool is_websocket(const Asked& asked) {
    return std::holds_alternative<TerminalEvents>(asked) || std::holds_alternative<TerminalStream>(asked) ||
           std::holds_alternative<Watch>(asked);
}

asio::awaitable<void> send(beast::tcp_stream& stream, const Response& response, error_code& error) {
    stream.expires_after(limits::kAnswerTime);
    http::serializer<false, http::string_body> serializer(response);
    co_await http::async_write(stream, serializer, into(error));
}

/// What must be said instead of upgrading; nothing if the upgrade may go on.
std::optional<Response> upgrade_problem(const Server& server, const Request& request, const std::optional<Target>& target) {
    if (!target || !is_websocket(target->asked)) return plain_answer(request, http::status::not_found, "No WebSocket here.\n");
    const Right right = right_of(server, request);
    if (right == Right::none) return plain_answer(request, http::status::unauthorized, "Log in first, at /login.\n");
    if (right == Right::observe && !std::holds_alternative<Watch>(target->asked)) {
        return plain_answer(request, http::status::forbidden, "This key may look at the console, not open terminals.\n");
    }
    if (!is_same_origin(request)) return plain_answer(request, http::status::forbidden, "Only pages of this gateway may connect.\n");
    return std::nullopt;
}

}  // namespace

asio::awaitable<void> serve_connection(Server& server, asio::ip::tcp::socket socket) {
    error_code error;
    socket.set_option(asio::ip::tcp::no_delay(true), error);
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer(limits::kHeaderBytes + limits::kBodyBytes);
    bool first = true;
    while (true) {
        http::request_parser<http::string_body> parser;
        parser.header_limit(limits::kHeaderBytes);
        parser.body_limit(limits::kBodyBytes);
        stream.expires_after(first ? limits::kRequestTime : limits::kIdleTime);
        first = false;
        co_await http::async_read(stream, buffer, parser, into(error));
        if (error) {
            if (is_malformed(error)) {
                const Request nothing;
                Response response = plain_answer(nothing, status_of(error), "The request cannot be read: " + error.message() + "\n");
                response.keep_alive(false);
                co_await send(stream, response, error);
            }
            break;
        }
        const Request request = parser.release();
        if (websocket::is_upgrade(request)) {
            const auto target = parse_target({request.target().data(), request.target().size()});
            if (const auto problem = upgrade_problem(server, request, target)) {
                co_await send(stream, *problem, error);
                break;
            }
            co_await serve_websocket(server, std::move(stream), request, target->asked);
            co_return;
        }
        const Response response = co_await answer(server, request);
        co_await send(stream, response, error);
        if (error || !response.keep_alive()) break;
    }
    stream.socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
}

}  // namespace understudy::gateway
