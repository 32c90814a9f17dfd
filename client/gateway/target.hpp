// What a request's target asks for. Pure functions and values; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace understudy::gateway {

struct HomePage {};
struct LoginPage {};
struct LogOut {};
struct AuthorityFile {};                     ///< /authority.crt, for people to trust
struct ConsolePage {};
struct TerminalPage { std::string terminal; };
struct PageFile { std::string name; };   ///< /assets/NAME
struct NovncFile { std::string path; };  ///< /novnc/PATH
struct ViewQuestion {};
struct Watch { bool changes = false; };  ///< ?changes=1: what changed, where that can be told
struct Act {};
struct Health {};
struct Liveness {};                          ///< /health/live
struct Readiness {};                         ///< /health/ready, and /health
struct Metrics {};                           ///< /metrics
struct Description {};                       ///< /api/v1/openapi.json
struct WhoAmI {};                            ///< /api/v1/me
struct AuditQuestion {};                     ///< /api/v1/audit?count=N
struct Section { std::string name; };        ///< /api/v1/nodes, …
struct IncidentQuestion { std::string id; }; ///< /api/v1/incidents/ID
struct WhatIf {};                            ///< /api/v1/what-if?host=NAME
/// `place` tells the pages of one terminal apart: a random text that a page keeps for as long as its tab lives.
struct TerminalEvents { std::string terminal; std::string place; };
struct TerminalStream { std::string terminal; std::string place; };
struct Unknown {};

using Asked = std::variant<Unknown, HomePage, LoginPage, LogOut, AuthorityFile, AuditQuestion, ConsolePage, TerminalPage, PageFile, NovncFile, ViewQuestion,
                           Watch, Act, Health, Liveness, Readiness, Metrics, Description, WhoAmI, Section,
                           IncidentQuestion, WhatIf, TerminalEvents, TerminalStream>;

using Query = std::map<std::string, std::string>;

struct Target {
    std::string path;  ///< decoded
    Query query;
    Asked asked;
};

/// Nothing if the target is not a well-formed absolute path (wrong escapes, control characters, NUL).
[[nodiscard]] std::optional<Target> parse_target(std::string_view text);

/// Decodes "a=1&b=x+y". Nothing if an escape is wrong.
[[nodiscard]] std::optional<Query> parse_form(std::string_view text);

/// A name a terminal can have: not empty, bounded, printable, no slash.
[[nodiscard]] bool is_terminal_name(std::string_view name);

/// `next` if it is a path of ours, else "/": a login must not lead to somebody else's page.
[[nodiscard]] std::string safe_next(const std::string& next);

}  // namespace understudy::gateway
