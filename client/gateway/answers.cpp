// See answers.hpp.
#include "client/gateway/answers.hpp"

#include <chrono>
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

std::string cookie(const Server& server, const Request& request, const std::string& token, std::int64_t seconds) {
    // Without TLS of our own a proxy in front may have it, and says so.
    const bool secure = server.tls() != nullptr || request["X-Forwarded-Proto"] == "https";
    return std::string(cookie_name(server)) + "=" + token + "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(seconds) +
           (secure ? "; Secure" : "");
}

Response redirected(const Request& request, const std::string& where) {
    Response response = make_answer(request, http::status::see_other, "", "text/plain");
    response.set(http::field::location, where);
    return response;
}

std::string waiting_text(std::chrono::seconds wait) {
    const auto count = wait.count();
    return "Too many attempts. Try again in " + (count < 120 ? std::to_string(count) + (count == 1 ? " second." : " seconds.") : std::to_string((count + 59) / 60) + " minutes.");
}

struct Attempt {
    std::string name;
    std::string password;
    std::string next;
};

/// Names and passwords that nobody can have are looked at like others, so that they teach nothing.
Attempt attempt_in(const Query& form) {
    const auto text = [&](const char* field) { return form.contains(field) ? form.at(field) : std::string(); };
    return {text("name").substr(0, kLongestAccountName), text("password").substr(0, kLongestPassword + 1), safe_next(text("next"))};
}

asio::awaitable<Response> log_in(Server& server, const Call& call, const Attempt& attempt) {
    const Request& request = call.request;
    const auto note = [&](const char* event, const std::string& result) {
        AuditEntry entry;
        entry.event = event;
        entry.who = attempt.name;
        entry.address = call.address;
        entry.result = result;
        server.note(std::move(entry));
    };
    const std::string group = group_of(call.address);
    if (const auto wait = server.guard().attempt(attempt.name, group, Clock::now())) {
        Response response = login_page(server, request, http::status::too_many_requests, attempt.next, waiting_text(*wait));
        response.set(http::field::retry_after, std::to_string(wait->count()));
        co_return response;
    }
    if (server.hashing().busy()) {
        co_return login_page(server, request, http::status::service_unavailable, attempt.next, "Many people log in at this moment. Try again in a few seconds.");
    }
    const Account* account = server.access().book().find(AccountKind::person, attempt.name);
    const std::string secret = account == nullptr ? std::string() : account->secret;
    auto compare = [secret, password = attempt.password] { return is_password(secret, password); };
    const bool right = co_await server.hashing().run(std::move(compare));
    // It may have been changed meanwhile.
    account = server.access().book().find(AccountKind::person, attempt.name);
    if (!right || account == nullptr || account->secret != secret) {
        const bool locks = server.guard().locks(attempt.name, group, Clock::now());
        note(locks ? "locked" : "login-failed", "name or password is wrong");
        co_return login_page(server, request, http::status::forbidden, attempt.next, "The name or the password is wrong.");
    }
    server.guard().succeeded(attempt.name, group);
    note("login", "");
    const std::string token = server.access().sessions().begin(account->name, account->stamp(), std::time(nullptr));
    Response response = redirected(request, attempt.next);
    response.set(http::field::set_cookie, cookie(server, request, token, kSessionSeconds));
    co_return response;
}

asio::awaitable<Response> answer_login(Server& server, const Call& call, Query query) {
    const Request& request = call.request;
    if (request.method() != http::verb::post) co_return login_page(server, request, http::status::ok, safe_next(query["next"]), "");
    if (!is_same_origin(server, request)) co_return plain_answer(request, http::status::forbidden, "Log in on the page of this gateway itself.\n");
    const auto form = parse_form(request.body());
    if (!form) co_return plain_answer(request, http::status::bad_request, "The form cannot be read.\n");
    const Attempt attempt = attempt_in(*form);
    co_return co_await log_in(server, call, attempt);
}

Response answer_logout(Server& server, const Call& call) {
    const Request& request = call.request;
    if (request.method() != http::verb::post) return plain_answer(request, http::status::method_not_allowed, "Use POST.\n");
    if (!is_same_origin(server, request)) return plain_answer(request, http::status::forbidden, "Log out on a page of this gateway itself.\n");
    if (!call.caller.session.empty()) {
        AuditEntry entry;
        entry.event = "logout";
        entry.who = call.caller.name;
        entry.address = call.address;
        server.note(std::move(entry));
        server.end_session(call.caller.session);
    }
    Response response = redirected(request, "/login");
    response.set(http::field::set_cookie, cookie(server, request, "", 0));
    return response;
}

bool is_api(const Target& target) { return target.path.starts_with("/api/") || target.path == "/metrics"; }

/// The terminal that is asked for, if it is one.
std::string terminal_in(const Asked& asked) {
    if (const auto* page = std::get_if<TerminalPage>(&asked)) return page->terminal;
    if (const auto* events = std::get_if<TerminalEvents>(&asked)) return events->terminal;
    if (const auto* stream = std::get_if<TerminalStream>(&asked)) return stream->terminal;
    return {};
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

std::string_view cookie_name(const Server& server) { return server.tls() != nullptr ? "__Host-understudy" : "understudy"; }

Caller caller_of(Server& server, const Request& request) {
    return server.access().caller_of(view_of(request[http::field::authorization]), view_of(request[http::field::cookie]), cookie_name(server),
                                     std::time(nullptr));
}

std::optional<Response> refusal_of(const Server& server, const Call& call, const Target& target) {
    const Role least = least_role(target.asked);
    const std::string terminal = terminal_in(target.asked);
    const bool enough = call.caller.role >= least;
    if (enough && (terminal.empty() || may_open(call.caller.role, call.caller.terminals, terminal))) return std::nullopt;
    if (call.caller.role == Role::none) {
        if (is_api(target)) return not_logged_in(call.request);
        return login_page(server, call.request, http::status::unauthorized, target.path, "");
    }
    const std::string why = enough ? "you may not open terminal \"" + terminal + "\": an administrator of the gateway can allow it (understudy-gateway account change)"
                                   : std::string("this needs the role ") + to_string(least) + ", and you have the role " + to_string(call.caller.role);
    return is_api(target) ? not_allowed(call.request, why) : plain_answer(call.request, http::status::forbidden, why + "\n");
}

Response make_answer(const Request& request, http::status status, std::string body, const std::string& type) {
    Response response{status, request.version() == 0 ? 11 : request.version()};
    response.set(http::field::content_type, type);
    response.set(http::field::cache_control, "no-store");
    response.set("Content-Security-Policy", kContentPolicy);
    response.set("X-Content-Type-Options", "nosniff");
    response.set("X-Frame-Options", "DENY");
    // Not "no-referrer": a browser then says "null" for the origin of our own forms as well.
    response.set("Referrer-Policy", "same-origin");
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

asio::awaitable<Response> answer(Server& server, const Call& call) {
    const Request& request = call.request;
    auto target = parse_target(view_of(request.target()));
    if (!target) co_return plain_answer(request, http::status::bad_request, "The address cannot be read.\n");
    if (auto refusal = refusal_of(server, call, *target)) co_return std::move(*refusal);
    if (std::holds_alternative<LoginPage>(target->asked)) co_return co_await answer_login(server, call, target->query);
    if (std::holds_alternative<LogOut>(target->asked)) co_return answer_logout(server, call);
    if (std::holds_alternative<Act>(target->asked)) co_return co_await answer_act(server, call);
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        co_return plain_answer(request, http::status::method_not_allowed, "Use GET.\n");
    }
    if (std::holds_alternative<AuthorityFile>(target->asked)) {
        const std::string pem = server.tls() == nullptr ? std::string() : server.tls()->authority;
        if (pem.empty()) co_return plain_answer(request, http::status::not_found, "There is no certificate authority of this gateway's own.\n");
        co_return make_answer(request, http::status::ok, pem, "application/x-x509-ca-cert");
    }
    if (auto api = co_await answer_api(server, call, *target)) co_return std::move(*api);
    co_return answer_file(server, request, target->asked);
}

}  // namespace understudy::gateway
