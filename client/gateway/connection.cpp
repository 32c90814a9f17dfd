// See connection.hpp.
#include "client/gateway/connection.hpp"

#include <nlohmann/json.hpp>

#include <functional>

#include "client/gateway/answers.hpp"
#include "client/gateway/exchange.hpp"
#include "client/gateway/finally.hpp"
#include "client/gateway/limits.hpp"
#include "client/gateway/server.hpp"
#include "client/gateway/stream.hpp"

namespace understudy::gateway {
namespace {

void heard_from_terminal(TerminalRoom& room, const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return;
    // Values of any type come from outside: compared, or asked for their type first.
    if (json.value("back", nlohmann::json()) == true) room.take_back();
    const auto epoch = json.value("epoch", nlohmann::json());
    // The gateway itself sees connections come and go; only the page knows when there is a picture.
    if (json.value("seen", nlohmann::json()) == "picture" && epoch.is_number_unsigned()) room.seen("picture", epoch.get<Epoch>());
}

std::function<void()> closing(const std::shared_ptr<EventSocket>& page) {
    return [weak = std::weak_ptr(page)] {
        if (const auto there = weak.lock()) there->close();
    };
}

/// The room, and a word of who opened it if it was not open.
Result<std::shared_ptr<TerminalRoom>> enter_room(Server& server, const Call& call, const std::string& terminal, const std::string& place) {
    const std::size_t before = server.rooms();
    auto room = server.room(terminal, place, call.caller.name);
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
        co_return co_await EventSocket::run(page, [](const std::string&) {});
    }
    (*room)->add_page(page);
    const Finally leaves([&] { (*room)->remove_page(page); });
    co_await EventSocket::run(page, [&](const std::string& text) { heard_from_terminal(**room, text); });
}

asio::awaitable<void> serve_watch(Server& server, Watch asked, WebSocket socket, std::shared_ptr<Visit> visit) {
    const auto page = std::make_shared<EventSocket>(server.context(), std::move(socket), asked.changes ? Offers::changes : Offers::whole);
    visit->end = closing(page);
    server.desk().add_watcher(page);
    const Finally leaves([&] { server.desk().remove_watcher(page); });
    co_await EventSocket::run(page, [](const std::string&) {});
}

asio::awaitable<void> serve_websocket(Server& server, Line line, const Call& call, Asked asked, std::shared_ptr<Visit> visit) {
    WebSocket socket(std::move(line));
    visit->end = [&socket] { socket.cut(); };
    error_code error;
    co_await socket.accept(call.request, error);
    visit->end = nullptr;
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
    co_await write_response(line, std::move(response), error);
}

/// The connection, ready for HTTP; nothing if the other side does not get that far in time.
asio::awaitable<std::optional<Line>> open_line(const Server& server, asio::ip::tcp::socket socket, Visit& visit) {
    beast::tcp_stream plain(std::move(socket));
    if (server.tls() == nullptr) co_return Line(std::move(plain));
    Line line(std::move(plain), *server.tls()->context);
    visit.end = [&line] { line.next_layer().close(); };
    const bool ready = co_await line.handshake();
    visit.end = nullptr;
    if (!ready) co_return std::nullopt;
    co_return std::move(line);
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
        line.next_layer().expires_after(first ? limits::kRequestTime : limits::kIdleTime);
        first = false;
        const Request request = co_await read_request(line, buffer, error);
        if (error) {
            if (const auto status = refusal_status(error)) {
                const Request nothing;
                Response response = plain_answer(nothing, *status, "The request cannot be read: " + error.message() + "\n");
                response.keep_alive(false);
                co_await send(line, std::move(response), {}, error);
            }
            break;
        }
        const std::string_view host(request[http::field::host].data(), request[http::field::host].size());
        Caller caller = caller_of(server, request);
        if (!server.belongs_to(*visit, caller)) {
            Response response = plain_answer(request, http::status::service_unavailable, "Too many people are connected here: try again in a minute.\n");
            response.keep_alive(false);
            co_await send(line, std::move(response), host, error);
            break;
        }
        const Call call{request, std::move(caller), address};
        if (is_upgrade(request)) {
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
    co_await line.say_goodbye();
    visit->end = nullptr;
}

}  // namespace understudy::gateway
