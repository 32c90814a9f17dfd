// See roles.hpp.
#include "client/gateway/roles.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace understudy::gateway {
namespace {

constexpr std::array<std::pair<Role, const char*>, 5> kNames = {{{Role::none, "none"}, {Role::terminal, "terminal"}, {Role::observer, "observer"},
                                                                 {Role::operator_, "operator"}, {Role::administrator, "administrator"}}};

/// What the manager may be asked through POST; "watch" is not among them: it needs a connection of its own.
constexpr std::array<std::pair<std::string_view, Role>, 19> kActs = {{
    {"view", Role::observer},
    {"incident", Role::observer},
    {"what-if", Role::observer},
    {"failover", Role::operator_},
    {"kill", Role::operator_},
    {"drain", Role::operator_},
    {"undrain", Role::operator_},
    {"release", Role::operator_},
    {"pool", Role::operator_},
    {"maintenance", Role::operator_},
    {"message", Role::operator_},
    {"fence", Role::administrator},
    {"override-gate", Role::administrator},
    {"define-terminal", Role::administrator},
    {"remove-terminal", Role::administrator},
    {"define-host", Role::administrator},
    {"remove-host", Role::administrator},
    {"define-pool", Role::administrator},
    {"remove-pool", Role::administrator},
}};

/// One function per kind of target: a new kind that is forgotten here does not compile.
struct LeastRole {
    Role operator()(const Unknown&) const { return Role::terminal; }
    Role operator()(const HomePage&) const { return Role::terminal; }
    Role operator()(const LoginPage&) const { return Role::none; }
    Role operator()(const LogOut&) const { return Role::none; }
    Role operator()(const ConsolePage&) const { return Role::observer; }
    Role operator()(const TerminalPage&) const { return Role::terminal; }
    Role operator()(const PageFile& file) const { return file.name == "base.css" || file.name == "icon.svg" ? Role::none : Role::terminal; }
    Role operator()(const NovncFile&) const { return Role::terminal; }
    Role operator()(const AuthorityFile&) const { return Role::none; }
    Role operator()(const ViewQuestion&) const { return Role::observer; }
    Role operator()(const Watch&) const { return Role::observer; }
    Role operator()(const Act&) const { return Role::observer; }
    Role operator()(const AuditQuestion&) const { return Role::administrator; }
    Role operator()(const Health&) const { return Role::none; }
    Role operator()(const Liveness&) const { return Role::none; }
    Role operator()(const Readiness&) const { return Role::none; }
    Role operator()(const Metrics&) const { return Role::observer; }
    Role operator()(const Description&) const { return Role::terminal; }
    Role operator()(const WhoAmI&) const { return Role::terminal; }
    Role operator()(const Section&) const { return Role::observer; }
    Role operator()(const IncidentQuestion&) const { return Role::observer; }
    Role operator()(const WhatIf&) const { return Role::observer; }
    Role operator()(const TerminalEvents&) const { return Role::terminal; }
    Role operator()(const TerminalStream&) const { return Role::terminal; }
};

}  // namespace

const char* to_string(Role role) { return kNames[static_cast<std::size_t>(role)].second; }

std::optional<Role> role_named(std::string_view name) {
    for (const auto& [role, known] : kNames) {
        if (role != Role::none && name == known) return role;
    }
    return std::nullopt;
}

Role least_role(const Asked& asked) { return std::visit(LeastRole{}, asked); }

std::optional<Role> least_role_of_act(std::string_view verb, const std::vector<std::string>& arguments) {
    const auto found = std::find_if(kActs.begin(), kActs.end(), [&](const auto& act) { return act.first == verb; });
    if (found == kActs.end()) return std::nullopt;
    const bool rehearsed = std::find(arguments.begin(), arguments.end(), "dry-run=yes") != arguments.end();
    return rehearsed ? Role::observer : found->second;
}

bool may_open(Role role, const Terminals& bound, std::string_view terminal) {
    if (role == Role::none) return false;
    if (bound.empty()) return role >= Role::operator_;
    return std::any_of(bound.begin(), bound.end(), [&](const std::string& own) { return own == "*" || own == terminal; });
}

}  // namespace understudy::gateway
