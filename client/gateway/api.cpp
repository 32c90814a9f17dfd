// See api.hpp.
#include "client/gateway/api.hpp"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "client/gateway/act.hpp"
#include "client/gateway/metrics.hpp"

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;

/// Header that a foreign page cannot add without asking first, which is refused.
constexpr const char* kRequestHeader = "X-Understudy-Request";

constexpr std::size_t kEntries = 100;      ///< of the audit log, unless asked otherwise
constexpr std::size_t kMostEntries = 1000;

Response json_answer(const Request& request, http::status status, const Json& json) {
    return make_answer(request, status, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", "application/json");
}

http::status status_of(std::uint32_t code) {
    switch (static_cast<ErrorCode>(code)) {
        case ErrorCode::invalid: return http::status::bad_request;
        case ErrorCode::not_found: return http::status::not_found;
        case ErrorCode::refused: return http::status::conflict;
        case ErrorCode::unavailable:
        case ErrorCode::no_capacity: return http::status::service_unavailable;
        case ErrorCode::unknown_outcome: return http::status::gateway_timeout;
        case ErrorCode::limit: return http::status::too_many_requests;
        default: return code == 0 ? http::status::ok : http::status::bad_gateway;
    }
}

Response result_answer(const Request& request, http::status status, std::uint32_t code, const std::string& text, const std::string& json = {}) {
    Json result = json.empty() ? Json() : Json::parse(json, nullptr, false);
    if (result.is_discarded()) result = nullptr;
    const std::string word = code == 0 ? "done" : to_string(static_cast<ErrorCode>(code));
    return json_answer(request, status, {{"code", code}, {"word", word}, {"text", text}, {"json", result}});
}

Response result_answer(const Request& request, std::uint32_t code, const std::string& text, const std::string& json = {}) {
    return result_answer(request, status_of(code), code, text, json);
}

Response error_answer(const Request& request, const Error& error) {
    return result_answer(request, static_cast<std::uint32_t>(error.code), error.message);
}

/// A view, and since when the manager is away if it is not of this moment.
struct Shown {
    std::string view;
    bool old = false;
};

/// Fresh if the manager is there, else the last one that came.
asio::awaitable<Result<Shown>> fresh_view(Server& server) {
    auto reply = co_await server.desk().call("view", {});
    if (reply && reply->code != 0) co_return failure(static_cast<ErrorCode>(reply->code), reply->text);
    if (reply) co_return Shown{std::move(reply->json)};
    if (server.desk().last_view().empty()) co_return tl::unexpected(reply.error());
    co_return Shown{server.desk().last_view(), true};
}

asio::awaitable<Response> answer_view(Server& server, const Request& request, std::string section) {
    auto shown = co_await fresh_view(server);
    if (!shown) co_return error_answer(request, shown.error());
    std::string body = std::move(shown->view);
    if (!section.empty()) {
        const Json view = Json::parse(body, nullptr, false);
        const auto found = view.is_object() ? view.find(section) : view.end();
        if (!view.is_object() || found == view.end()) {
            co_return error_answer(request, {ErrorCode::damaged, "the manager's view has no \"" + section + "\"; is it of another version?"});
        }
        body = found->dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    Response response = make_answer(request, http::status::ok, body + "\n", "application/json");
    if (shown->old) response.set("X-Understudy-Manager-Away-Since", std::to_string(server.desk().since_wall_ms()));
    co_return response;
}

/// A question with one argument that the manager answers with JSON of its own.
asio::awaitable<Response> answer_question(Server& server, const Request& request, std::string verb, std::string argument) {
    std::vector<std::string> arguments(1, std::move(argument));
    const auto reply = co_await server.desk().call(std::move(verb), std::move(arguments));
    if (!reply) co_return error_answer(request, reply.error());
    if (reply->code != 0) co_return result_answer(request, reply->code, reply->text);
    co_return make_answer(request, http::status::ok, reply->json + "\n", "application/json");
}

asio::awaitable<Response> answer_metrics(Server& server, const Request& request) {
    const auto shown = co_await fresh_view(server);
    const bool there = shown.has_value();
    const std::int64_t age_ms = !there ? -1 : shown->old ? wall_ms_now() - server.desk().view_wall_ms() : 0;
    co_return make_answer(request, http::status::ok,
                          metrics_text(there ? shown->view : std::string(), {server.desk().connected(), age_ms, server.connections(), server.rooms()}),
                          "text/plain; version=0.0.4; charset=utf-8");
}

asio::awaitable<Response> answer_audit(Server& server, const Request& request, Query query) {
    std::size_t most = kEntries;
    const std::string wanted = query.contains("count") ? query["count"] : std::to_string(kEntries);
    const auto [end, problem] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), most);
    if (problem != std::errc() || end != wanted.data() + wanted.size() || most < 1 || most > kMostEntries) {
        co_return error_answer(request, {ErrorCode::invalid, "count must be a whole number from 1 to " + std::to_string(kMostEntries)});
    }
    auto read = [path = server.audit_file(), most] { return newest_audit(path, most); };
    const Result<std::string> entries = co_await server.disk().run(std::move(read));
    if (!entries) co_return error_answer(request, entries.error());
    co_return make_answer(request, http::status::ok, *entries + "\n", "application/json");
}

AuditEntry entry_of(const Call& call, const ActAsked& act) {
    AuditEntry entry;
    entry.id = make_key().substr(4, 16);
    entry.who = call.caller.name;
    entry.role = to_string(call.caller.role);
    entry.address = call.address;
    entry.verb = act.verb;
    entry.arguments = act.arguments;
    entry.reason = act.reason();
    return entry;
}

/// Ready: people who come now can be served. Without the manager pictures go on, but nobody new gets one.
Response answer_readiness(Server& server, const Request& request) {
    const AdminDesk& desk = server.desk();
    Json json{{"live", true}, {"ready", desk.connected()}, {"manager", desk.connected() ? "connected" : "away"},
              {"reason", desk.connected() ? "" : desk.reason()}, {"since_wall_ms", desk.since_wall_ms()}};
    return json_answer(request, desk.connected() ? http::status::ok : http::status::service_unavailable, json);
}

}  // namespace

Response not_logged_in(const Request& request) {
    return result_answer(request, http::status::unauthorized, static_cast<std::uint32_t>(ErrorCode::refused),
                         "you are not logged in, or the log-in has run out: log in at /login, or send a key as a bearer token");
}

Response not_allowed(const Request& request, const std::string& why) {
    return result_answer(request, http::status::forbidden, static_cast<std::uint32_t>(ErrorCode::refused), why);
}

asio::awaitable<Response> answer_act(Server& server, const Call& call) {
    const Request& request = call.request;
    if (request.method() != http::verb::post) co_return plain_answer(request, http::status::method_not_allowed, "Use POST.\n");
    if (request.count(kRequestHeader) == 0 || !is_same_origin(server, request)) {
        co_return plain_answer(request, http::status::forbidden, std::string("Acts need the header ") + kRequestHeader + " and come from pages of this gateway alone.\n");
    }
    auto act = parse_act(request.body());
    if (!act) co_return error_answer(request, act.error());
    AuditEntry entry = entry_of(call, *act);
    if (call.caller.role < act->least) {
        const std::string why = call.caller.role == Role::observer ? "you may look and not act" : "you may not do that";
        entry.event = "refused";
        entry.result = why;
        server.note(std::move(entry));
        co_return not_allowed(request, why + ": \"" + act->verb + "\" needs the role " + to_string(act->least));
    }
    const bool acts = act->least != Role::observer;
    if (acts) {
        // Before it is done: what cannot be written down does not happen.
        entry.event = "act";
        auto record = [path = server.audit_file(), line = audit_line(entry, wall_ms_now())] { return append_audit(path, line); };
        const Result<> recorded = co_await server.disk().run(std::move(record));
        if (!recorded) co_return error_answer(request, {ErrorCode::unavailable, recorded.error().message + "; nothing was done. Make room, then try again"});
        act->arguments.push_back("by=" + call.caller.name);
    }
    const auto reply = co_await server.desk().call(act->verb, std::move(act->arguments));
    if (acts) {
        AuditEntry result;
        result.event = "result";
        result.id = entry.id;
        result.who = entry.who;
        result.verb = entry.verb;
        result.result = reply ? (reply->code == 0 ? "done" : to_string(static_cast<ErrorCode>(reply->code))) + std::string(": ") + reply->text
                              : to_string(reply.error().code) + std::string(": ") + reply.error().message;
        server.note(std::move(result));
    }
    if (!reply) co_return error_answer(request, reply.error());
    co_return result_answer(request, reply->code, reply->text, reply->json);
}

asio::awaitable<std::optional<Response>> answer_api(Server& server, const Call& call, Target target) {
    const Request& request = call.request;
    if (std::holds_alternative<ViewQuestion>(target.asked)) co_return co_await answer_view(server, request, {});
    if (const auto* section = std::get_if<Section>(&target.asked)) co_return co_await answer_view(server, request, section->name);
    if (const auto* incident = std::get_if<IncidentQuestion>(&target.asked)) {
        co_return co_await answer_question(server, request, "incident", "id=" + incident->id);
    }
    if (std::holds_alternative<WhatIf>(target.asked)) {
        co_return co_await answer_question(server, request, "what-if", "host=" + target.query["host"]);
    }
    if (std::holds_alternative<AuditQuestion>(target.asked)) co_return co_await answer_audit(server, request, target.query);
    if (std::holds_alternative<Metrics>(target.asked)) co_return co_await answer_metrics(server, request);
    if (std::holds_alternative<Description>(target.asked)) {
        const auto file = server.assets().page("openapi.json");
        co_return make_answer(request, http::status::ok, file ? file->body : "{}", "application/json");
    }
    if (std::holds_alternative<WhoAmI>(target.asked)) {
        const Role role = call.caller.role;
        const char* right = role >= Role::operator_ ? "operate" : role == Role::observer ? "observe" : "none";
        co_return json_answer(request, http::status::ok, {{"right", right}, {"name", call.caller.name}, {"role", to_string(role)},
                                                          {"terminals", call.caller.terminals}, {"session", !call.caller.session.empty()}});
    }
    if (std::holds_alternative<Liveness>(target.asked)) co_return json_answer(request, http::status::ok, {{"live", true}});
    if (std::holds_alternative<Readiness>(target.asked)) co_return answer_readiness(server, request);
    if (std::holds_alternative<Health>(target.asked)) {
        co_return json_answer(request, http::status::ok, {{"gateway", "ok"}, {"manager", server.desk().connected() ? "connected" : "away"}});
    }
    co_return std::nullopt;
}

}  // namespace understudy::gateway
