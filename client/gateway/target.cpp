// See target.hpp.
#include "client/gateway/target.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "protocol/limits.hpp"

namespace understudy::gateway {
namespace {

constexpr std::size_t kPlaceBytes = 64;

enum class Plus { stays, is_space };

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decoded(std::string_view text, Plus plus) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = digit(text[i + 1]);
            const int low = digit(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus == Plus::is_space) {
            c = ' ';
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return std::nullopt;
        out += c;
    }
    return out;
}

/// "/api/v1/terminals/NAME/events"
Asked asked_of_terminal(const std::string& rest, const Query& query) {
    const auto slash = rest.find('/');
    if (slash == std::string::npos) return Unknown{};
    const std::string name = rest.substr(0, slash);
    const std::string what = rest.substr(slash + 1);
    const auto given = query.find("place");
    const std::string place = given == query.end() ? std::string() : given->second;
    if (!is_terminal_name(name) || place.size() > kPlaceBytes) return Unknown{};
    if (what == "events") return TerminalEvents{name, place};
    if (what == "stream") return TerminalStream{name, place};
    return Unknown{};
}

Asked asked_of(const std::string& path, const Query& query) {
    const auto after = [&](std::string_view start) { return path.substr(start.size()); };
    if (path == "/") return HomePage{};
    if (path == "/login") return LoginPage{};
    if (path == "/logout") return LogOut{};
    if (path == "/authority.crt") return AuthorityFile{};
    if (path == "/api/v1/audit") return AuditQuestion{};
    if (path == "/console") return ConsolePage{};
    if (path == "/api/v1/view") return ViewQuestion{};
    if (path == "/api/v1/watch") return Watch{query.contains("changes") && query.at("changes") == "1"};
    if (path == "/api/v1/act") return Act{};
    if (path == "/api/v1/health") return Health{};
    if (path == "/health" || path == "/health/ready") return Readiness{};
    if (path == "/health/live") return Liveness{};
    if (path == "/metrics") return Metrics{};
    if (path == "/api/v1/openapi.json") return Description{};
    if (path == "/api/v1/me") return WhoAmI{};
    if (path == "/api/v1/what-if") return WhatIf{};
    for (const char* name : {"manager", "hosts", "nodes", "terminals", "sessions", "pools", "incidents", "figures"}) {
        if (path == std::string("/api/v1/") + name) return Section{name};
    }
    if (path.starts_with("/api/v1/incidents/")) return IncidentQuestion{after("/api/v1/incidents/")};
    if (path.starts_with("/assets/")) return PageFile{after("/assets/")};
    if (path.starts_with("/novnc/")) return NovncFile{after("/novnc/")};
    if (path.starts_with("/terminal/") && is_terminal_name(after("/terminal/"))) return TerminalPage{after("/terminal/")};
    if (path.starts_with("/api/v1/terminals/")) return asked_of_terminal(after("/api/v1/terminals/"), query);
    return Unknown{};
}

}  // namespace

bool is_terminal_name(std::string_view name) {
    return !name.empty() && name.size() <= understudy::limits::kNameBytes && name.find('/') == std::string_view::npos &&
           std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
}

std::optional<Query> parse_form(std::string_view text) {
    Query query;
    while (!text.empty()) {
        const auto end = text.find('&');
        const std::string_view pair = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        const auto equals = pair.find('=');
        const auto key = decoded(pair.substr(0, equals), Plus::is_space);
        const auto value = decoded(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), Plus::is_space);
        if (!key || !value) return std::nullopt;
        query[*key] = *value;
    }
    return query;
}

std::optional<Target> parse_target(std::string_view text) {
    if (text.empty() || text.front() != '/') return std::nullopt;
    const auto question = text.find('?');
    const auto path = decoded(text.substr(0, question), Plus::stays);
    auto query = parse_form(question == std::string_view::npos ? std::string_view() : text.substr(question + 1));
    if (!path || !query) return std::nullopt;
    Asked asked = asked_of(*path, *query);
    return Target{*path, std::move(*query), std::move(asked)};
}

std::string safe_next(const std::string& next) {
    // "//host" and "/\host" are other people's pages to a browser.
    const bool ours = next.size() > 1 && next[0] == '/' && next[1] != '/' && next[1] != '\\' &&
                      next.find('\\') == std::string::npos && next != "/login";
    if (!ours) return "/";
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : next) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || std::string_view("-._~/?=&").find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += '%';
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
    }
    return out;
}

}  // namespace understudy::gateway
