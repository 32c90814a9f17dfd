// See answers.hpp.
#include "client/gateway/answers.hpp"

#include <algorithm>
#include <ctime>

#include <spdlog/spdlog.h>

#include "client/gateway/api.hpp"

namespace understudy::gateway {
namespace {

constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }

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
    const Right right = server.access().right_of_key(key);
    if (right == Right::none) {
        server.guesses().wrong(now);
        spdlog::warn("a wrong access key was given");
        return login_page(server, request, http::status::forbidden, next, "This is not the access key. It stands in the gateway's configuration.");
    }
    Response response = make_answer(request, http::status::see_other, "", "text/plain");
    response.set(http::field::location, safe_next(next));
    response.set(http::field::set_cookie, std::string(kCookieName) + "=" + server.access().make_cookie(right, std::time(nullptr)) +
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

bool is_api(const Target& target) { return target.path.starts_with("/api/") || target.path == "/metrics"; }

/// Needed by the login page itself.
bool is_open(const Target& target) {
    if (std::holds_alternative<Health>(target.asked) || std::holds_alternative<Liveness>(target.asked) ||
        std::holds_alternative<Readiness>(target.asked)) {
        return true;
    }
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

Right right_of(const Server& server, const Request& request) {
    const std::string_view authorization = view_of(request[http::field::authorization]);
    constexpr std::string_view kBearer = "Bearer ";
    const Right by_key = authorization.starts_with(kBearer) ? server.access().right_of_key(authorization.substr(kBearer.size())) : Right::none;
    return std::max(by_key, server.access().right_of_cookies(view_of(request[http::field::cookie]), std::time(nullptr)));
}

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

bool is_same_origin(const Server& server, const Request& request) {
    if (request["Sec-Fetch-Site"] == "cross-site") return false;
    const std::string_view origin = view_of(request[http::field::origin]);
    if (origin.empty()) return true;
    const std::string host(view_of(request[http::field::host]));
    // Without TLS of our own there may be a proxy in front that has it.
    return origin == "https://" + host || (server.tls() == nullptr && origin == "http://" + host);
}

bool is_this_machine(std::string_view host) {
    const auto colon = host.rfind(':');
    const bool six = !host.empty() && host.front() == '[';
    const std::string_view name = six ? host.substr(0, host.find(']') + 1) : host.substr(0, colon);
    return name.empty() || name == "localhost" || name.ends_with(".localhost") || name.starts_with("127.") || name == "[::1]";
}

Response plain_answer(const Request& request, http::status status, const std::string& text) {
    return make_answer(request, status, text, "text/plain; charset=utf-8");
}

asio::awaitable<Response> answer(Server& server, const Request& request) {
    auto target = parse_target(view_of(request.target()));
    if (!target) co_return plain_answer(request, http::status::bad_request, "The address cannot be read.\n");
    if (std::holds_alternative<LoginPage>(target->asked)) co_return answer_login(server, request, target->query);
    const Right right = is_open(*target) ? Right::none : right_of(server, request);
    if (!is_open(*target) && right == Right::none) {
        if (is_api(*target)) co_return not_logged_in(request);
        co_return login_page(server, request, http::status::unauthorized, target->path, "");
    }
    if (std::holds_alternative<Act>(target->asked)) co_return co_await answer_act(server, request, right);
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        co_return plain_answer(request, http::status::method_not_allowed, "Use GET.\n");
    }
    if (right == Right::observe && std::holds_alternative<TerminalPage>(target->asked)) {
        co_return plain_answer(request, http::status::forbidden, "This key may look at the console, not open terminals. Log in with the operators' key at /login.\n");
    }
    if (auto api = co_await answer_api(server, request, *target, right)) co_return std::move(*api);
    co_return answer_file(server, request, target->asked);
}

}  // namespace understudy::gateway
