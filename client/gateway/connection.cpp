// See connection.hpp.
#include "client/gateway/connection.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <functional>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
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

std::function<void()> closing(const std::shared_ptr<EventSocket>& page) {
    return [weak = std::weak_ptr(page)] {
        if (const auto there = weak.lock()) there->close();
    };
}

/// The room, and a word of who opened it if it was not open.
Result<std::shared_ptr<TerminalRoom>> enter_room(Server& server, const Call& call, const std::string& terminal, const std::string& place) {
    const std::size_t before = server.rooms();
    auto room = server.room(terminal, place);
    if (!room || server.rooms() == before) return room;
    AuditEntry entry;
    entry.event = "opened";
    entry.who = call.caller.name;
    entry.role = to_string(call.caller.role);
    entry.address = call.address;
    entry.arguments = {"terminal=" + terminal};
    server.note(std::move(entry));
    return room;
}

asio::awaitable<void> serve_terminal_events(Server& server, const Call& call, TerminalEvents asked, WebSocket socket, std::shared_ptr<Visit> visit) {
    const auto room = enter_room(server, call, asked.terminal, asked.place);
    const auto page = std::make_shared<EventSocket>(server.context(), std::move(socket));
    visit->end = closing(page);
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

asio::awaitable<void> serve_watch(Server& server, Watch asked, WebSocket socket, std::shared_ptr<Visit> visit) {
    const auto page = std::make_shared<EventSocket>(server.context(), std::move(socket), asked.changes ? Offers::changes : Offers::whole);
    visit->end = closing(page);
    server.desk().add_watcher(page);
    co_await EventSocket::run(page, [](const std::string&) {});
    server.desk().remove_watcher(page);
}

asio::awaitable<void> serve_websocket(Server& server, Line line, const Call& call, Asked asked, std::shared_ptr<Visit> visit) {
    line.next_layer().expires_never();  // the WebSocket has time-outs of its own
    WebSocket socket(std::move(line));
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = limits::kRequestTime;
    timeout.idle_timeout = limits::kSilence;
    timeout.keep_alive_pings = true;
    socket.set_option(timeout);
    socket.auto_fragment(false);  // a picture goes out as it came, without being cut and copied
    error_code error;
    co_await socket.async_accept(call.request, into(error));
    if (error) co_return;
    if (const auto* events = std::get_if<TerminalEvents>(&asked)) {
        co_await serve_terminal_events(server, call, *events, std::move(socket), visit);
    } else if (const auto* wanted = std::get_if<TerminalStream>(&asked)) {
        const auto room = enter_room(server, call, wanted->terminal, wanted->place);
        if (room) co_await serve_stream(server.context(), *room, std::move(socket), visit);
    } else {
        co_await serve_watch(server, std::get<Watch>(asked), std::move(socket), visit);
    }
}

bool is_websocket(const Asked& asked) {
    return std::holds_alternative<TerminalEvents>(asked) || std::holds_alternative<TerminalStream>(asked) ||
           std::holds_alternative<Watch>(asked);
}

asio::awaitable<void> send(Line& line, Response response, std::string_view host, error_code& error) {
    line.next_layer().expires_after(limits::kAnswerTime);
    if (line.is_secure() && !is_this_machine(host)) response.set("Strict-Transport-Security", "max-age=31536000");
    http::serializer<false, http::string_body> serializer(response);
    co_await http::async_write(line, serializer, into(error));
}

/// For a browser that was sent here without "https://". What it asked for is not even looked at.
asio::awaitable<void> refuse_plain(beast::tcp_stream& stream) {
    static const std::string kAnswer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 67\r\nConnection: close\r\n\r\n"
        "This port speaks TLS alone: put https:// in front of its address.\r\n";
    error_code error;
    co_await asio::async_write(stream, asio::buffer(kAnswer), into(error));
    stream.socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
}

/// The connection, ready for HTTP; nothing if the other side does not get that far in time.
asio::awaitable<std::optional<Line>> open_line(const Server& server, asio::ip::tcp::socket socket, Visit& visit) {
    beast::tcp_stream plain(std::move(socket));
    if (server.tls() == nullptr) co_return Line(std::move(plain));
    Line line(Line::Secure(std::move(plain), *server.tls()->context));
    visit.end = [&line] { line.next_layer().close(); };
    line.next_layer().expires_after(limits::kHandshakeTime);
    error_code error;
    std::array<char, 2048> early{};
    const std::size_t length = co_await line.next_layer().async_read_some(asio::buffer(early), into(error));
    constexpr char kHandshakeRecord = 22;
    if (!error && early[0] != kHandshakeRecord) {
        co_await refuse_plain(line.next_layer());
        error = asio::error::make_error_code(asio::error::connection_refused);
    }
    if (!error) co_await line.secure().async_handshake(asio::ssl::stream_base::server, asio::buffer(early.data(), length), into(error));
    visit.end = nullptr;
    if (error) co_return std::nullopt;
    co_return std::move(line);
}

asio::awaitable<void> say_goodbye(Line& line) {
    error_code error;
    line.next_layer().expires_after(limits::kGoodbyeTime);
    if (line.is_secure()) co_await line.secure().async_shutdown(into(error));
    line.next_layer().socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
}

/// What must be said instead of upgrading; nothing if the upgrade may go on.
std::optional<Response> upgrade_problem(const Server& server, const Call& call, const std::optional<Target>& target) {
    if (!target || !is_websocket(target->asked)) return plain_answer(call.request, http::status::not_found, "No WebSocket here.\n");
    if (auto refusal = refusal_of(server, call, *target)) return refusal;
    if (!is_same_origin(server, call.request)) return plain_answer(call.request, http::status::forbidden, "Only pages of this gateway may connect.\n");
    return std::nullopt;
}

}  // namespace

asio::awaitable<void> serve_connection(Server& server, asio::ip::tcp::socket socket, std::shared_ptr<Visit> visit) {
    error_code error;
    socket.set_option(asio::ip::tcp::no_delay(true), error);
    const std::string address = socket.remote_endpoint(error).address().to_string();
    auto opened = co_await open_line(server, std::move(socket), *visit);
    if (!opened) co_return;
    Line line = std::move(*opened);
    visit->end = [&line] { line.next_layer().close(); };
    beast::flat_buffer buffer(limits::kHeaderBytes + limits::kBodyBytes);
    bool first = true;
    while (true) {
        http::request_parser<http::string_body> parser;
        parser.header_limit(limits::kHeaderBytes);
        parser.body_limit(limits::kBodyBytes);
        line.next_layer().expires_after(first ? limits::kRequestTime : limits::kIdleTime);
        first = false;
        co_await http::async_read(line, buffer, parser, into(error));
        if (error) {
            if (is_malformed(error)) {
                const Request nothing;
                Response response = plain_answer(nothing, status_of(error), "The request cannot be read: " + error.message() + "\n");
                response.keep_alive(false);
                co_await send(line, std::move(response), {}, error);
            }
            break;
        }
        const Request request = parser.release();
        const std::string_view host(request[http::field::host].data(), request[http::field::host].size());
        Caller caller = caller_of(server, request);
        visit->known = caller.role != Role::none;
        visit->caller = caller;
        const Call call{request, std::move(caller), address};
        if (websocket::is_upgrade(request)) {
            const auto target = parse_target({request.target().data(), request.target().size()});
            if (auto problem = upgrade_problem(server, call, target)) {
                co_await send(line, std::move(*problem), host, error);
                break;
            }
            visit->end = nullptr;
            visit->is_websocket = true;
            co_await serve_websocket(server, std::move(line), call, target->asked, visit);
            co_return;
        }
        Response response = co_await answer(server, call);
        const bool goes_on = response.keep_alive();
        co_await send(line, std::move(response), host, error);
        if (error || !goes_on) break;
    }
    co_await say_goodbye(line);
    visit->end = nullptr;
}

}  // namespace understudy::gateway
