// See answers.hpp.
#include "client/gateway/answers.hpp"

#include <algorithm>
#include <ctime>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "client/gateway/limits.hpp"

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;

constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Header that a foreign page cannot add without asking first, which is refused.
constexpr const char* kRequestHeader = "X-Understudy-Request";

constexpr std::array<std::string_view, 12> kVerbs = {
    "view", "incident", "failover", "kill", "drain", "undrain", "release", "pool", "override-gate", "maintenance",
    "define-terminal", "remove-terminal"};

std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }

Response make_answer(const Request& request, http::status status, std::string body, const std::string& type) {
    Response response{status, request.version() == 0 ? 11 : request.version()};
    response.set(http::field::content_type, type);
    response.set(http::field::cache_control, "no-store");
    response.set("Content-Security-Policy", kContentPolicy);
    response.set("X-Content-Type-Options", "nosniff");
    response.set("X-Frame-Options", "DENY");
    response.set("Referrer-Policy", "no-referrer");
    response.set("Cross-Origin-Opener-Policy", "same-origin");
    response.set("Cross-Origin-Resource-Policy", "same-origin");
    response.keep_alive(request.keep_alive());
    if (request.method() == http::verb::head) {
        response.content_length(body.size());
    } else {
        response.body() = std::move(body);
        response.prepare_payload();
    }
    return response;
}

Response json_answer(const Request& request, http::status status, const Json& json) {
    return make_answer(request, status, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", "application/json");
}

Response asset_answer(const Request& request, const std::optional<Asset>& asset, http::status status = http::status::ok) {
    if (!asset) return plain_answer(request, http::status::not_found, "There is no such file here.\n");
    Response response = make_answer(request, status, asset->body, asset->type);
    // Files change with the program or the noVNC package only; the browser may keep them for a while.
    if (!asset->type.starts_with("text/html")) response.set(http::field::cache_control, "private, max-age=60");
    return response;
}

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '&') out += "&amp;";
        else if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (c == '"') out += "&quot;";
        else out += c;
    }
    return out;
}

void replace(std::string& text, const std::string& mark, const std::string& by) {
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + by.size())) {
        text.replace(at, mark.size(), by);
    }
}

Response login_page(const Server& server, const Request& request, http::status status, const std::string& next, const std::string& problem) {
    auto page = server.assets().page("login.html");
    if (page) {
        replace(page->body, "{{next}}", escaped(next));
        replace(page->body, "{{problem}}", escaped(problem));
    }
    return asset_answer(request, page, status);
}

Response log_in(Server& server, const Request& request, const std::string& key, const std::string& next) {
    const auto now = Clock::now();
    if (!server.guesses().allows(now)) {
        return login_page(server, request, http::status::too_many_requests, next, "Too many wrong keys. Wait a few seconds and try again.");
    }
    if (!server.access().key_is_right(key)) {
        server.guesses().wrong(now);
        spdlog::warn("a wrong access key was given");
        return login_page(server, request, http::status::forbidden, next, "This is not the access key. It stands in the gateway's configuration.");
    }
    Response response = make_answer(request, http::status::see_other, "", "text/plain");
    response.set(http::field::location, safe_next(next));
    response.set(http::field::set_cookie, std::string(kCookieName) + "=" + server.access().make_cookie(std::time(nullptr)) +
                                              "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(kCookieSeconds) +
                                              // Said by a proxy that ends TLS in front of us.
                                              (request["X-Forwarded-Proto"] == "https" ? "; Secure" : ""));
    return response;
}

Response answer_login(Server& server, const Request& request, Query query) {
    if (request.method() == http::verb::post) {
        auto form = parse_form(request.body());
        if (!form) return plain_answer(request, http::status::bad_request, "The form cannot be read.\n");
        query = std::move(*form);
    }
    const std::string next = safe_next(query["next"]);
    if (!query.contains("key")) return login_page(server, request, http::status::ok, next, "");
    return log_in(server, request, query["key"], next);
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

Response act_answer(const Request& request, std::uint32_t code, const std::string& text, const std::string& json) {
    Json result = json.empty() ? Json() : Json::parse(json, nullptr, false);
    if (result.is_discarded()) result = nullptr;
    const std::string word = code == 0 ? "done" : to_string(static_cast<ErrorCode>(code));
    return json_answer(request, status_of(code), {{"code", code}, {"word", word}, {"text", text}, {"json", result}});
}

/// ["key=value", …] or {"key": value, …}. Nothing if it is neither.
std::optional<std::vector<std::string>> arguments_of(const Json& json) {
    std::vector<std::string> arguments;
    if (json.is_null()) return arguments;
    if (!json.is_array() && !json.is_object()) return std::nullopt;
    for (const auto& [key, value] : json.items()) {
        if (json.is_array() && !value.is_string()) return std::nullopt;
        if (json.is_object() && !value.is_string() && !value.is_number_integer()) return std::nullopt;
        const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        arguments.push_back(json.is_array() ? text : key + "=" + text);
    }
    return arguments.size() > 32 ? std::nullopt : std::optional(std::move(arguments));
}

asio::awaitable<Response> answer_act(Server& server, const Request& request) {
    const auto refuse = [&](ErrorCode code, const std::string& text) {
        return act_answer(request, static_cast<std::uint32_t>(code), text, "");
    };
    if (request.method() != http::verb::post) co_return plain_answer(request, http::status::method_not_allowed, "Use POST.\n");
    if (request.count(kRequestHeader) == 0 || !is_same_origin(request)) {
        co_return plain_answer(request, http::status::forbidden, std::string("Acts need the header ") + kRequestHeader + " and come from pages of this gateway alone.\n");
    }
    const Json json = Json::parse(request.body(), nullptr, false);
    if (!json.is_object() || !json.contains("verb") || !json["verb"].is_string()) {
        co_return refuse(ErrorCode::invalid, "send JSON like {\"verb\": \"failover\", \"arguments\": {\"session\": 2, \"reason\": \"…\"}}");
    }
    const std::string verb = json["verb"];
    if (std::find(kVerbs.begin(), kVerbs.end(), verb) == kVerbs.end()) co_return refuse(ErrorCode::invalid, "there is no act \"" + verb + "\"");
    auto arguments = arguments_of(json.value("arguments", Json()));
    if (!arguments) co_return refuse(ErrorCode::invalid, "arguments must be a list of \"key=value\" or an object of texts and whole numbers");
    const auto reply = co_await server.desk().call(verb, std::move(*arguments));
    if (!reply) co_return refuse(reply.error().code, reply.error().message);
    co_return act_answer(request, reply->code, reply->text, reply->json);
}

/// Fresh if the manager is there, else the last one that came, with a header that says so.
asio::awaitable<Response> answer_view(Server& server, const Request& request) {
    const auto reply = co_await server.desk().call("view", {});
    if (reply && reply->code == 0) co_return make_answer(request, http::status::ok, reply->json, "application/json");
    if (reply) co_return act_answer(request, reply->code, reply->text, "");
    if (server.desk().last_view().empty()) {
        co_return act_answer(request, static_cast<std::uint32_t>(reply.error().code), reply.error().message, "");
    }
    Response response = make_answer(request, http::status::ok, server.desk().last_view(), "application/json");
    response.set("X-Understudy-Manager-Away-Since", std::to_string(server.desk().since_wall_ms()));
    co_return response;
}

Response answer_health(Server& server, const Request& request) {
    return json_answer(request, http::status::ok, {{"gateway", "ok"}, {"manager", server.desk().connected() ? "connected" : "away"}});
}

bool is_api(const Target& target) { return target.path.starts_with("/api/"); }

/// Needed by the login page itself.
bool is_open(const Target& target) {
    if (std::holds_alternative<Health>(target.asked)) return true;
    const auto* file = std::get_if<PageFile>(&target.asked);
    return file != nullptr && (file->name == "base.css" || file->name == "icon.svg");
}

Response answer_file(const Server& server, const Request& request, const Asked& asked) {
    if (std::holds_alternative<HomePage>(asked)) return asset_answer(request, server.assets().page("home.html"));
    if (std::holds_alternative<ConsolePage>(asked)) return asset_answer(request, server.assets().page("console.html"));
    if (std::holds_alternative<TerminalPage>(asked)) return asset_answer(request, server.assets().page("terminal.html"));
    if (const auto* file = std::get_if<PageFile>(&asked)) return asset_answer(request, server.assets().page(file->name));
    if (const auto* file = std::get_if<NovncFile>(&asked)) {
        auto asset = server.assets().novnc(file->path);
        if (!asset) spdlog::warn("noVNC has no file {}; is the package novnc installed, and gateway.novnc right?", file->path);
        return asset_answer(request, asset);
    }
    return plain_answer(request, http::status::not_found, "There is nothing here. The start page is at /\n");
}

}  // namespace

bool has_access(const Server& server, const Request& request) {
    const std::string_view authorization = view_of(request[http::field::authorization]);
    constexpr std::string_view kBearer = "Bearer ";
    if (authorization.starts_with(kBearer) && server.access().key_is_right(authorization.substr(kBearer.size()))) return true;
    return server.access().cookies_are_right(view_of(request[http::field::cookie]), std::time(nullptr));
}

bool is_same_origin(const Request& request) {
    const std::string_view origin = view_of(request[http::field::origin]);
    if (origin.empty()) return true;
    const std::string_view host = view_of(request[http::field::host]);
    return origin == "http://" + std::string(host) || origin == "https://" + std::string(host);
}

Response plain_answer(const Request& request, http::status status, const std::string& text) {
    return make_answer(request, status, text, "text/plain; charset=utf-8");
}

asio::awaitable<Response> answer(Server& server, const Request& request) {
    auto target = parse_target(view_of(request.target()));
    if (!target) co_return plain_answer(request, http::status::bad_request, "The address cannot be read.\n");
    if (std::holds_alternative<LoginPage>(target->asked)) co_return answer_login(server, request, target->query);
    if (!is_open(*target) && !has_access(server, request)) {
        if (is_api(*target)) co_return json_answer(request, http::status::unauthorized, {{"text", "log in at /login, or send the access key as a bearer token"}});
        co_return login_page(server, request, http::status::unauthorized, target->path, "");
    }
    if (std::holds_alternative<Act>(target->asked)) co_return co_await answer_act(server, request);
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        co_return plain_answer(request, http::status::method_not_allowed, "Use GET.\n");
    }
    if (std::holds_alternative<ViewQuestion>(target->asked)) co_return co_await answer_view(server, request);
    if (std::holds_alternative<Health>(target->asked)) co_return answer_health(server, request);
    co_return answer_file(server, request, target->asked);
}

}  // namespace understudy::gateway
