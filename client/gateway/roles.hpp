// Who may ask what of the gateway: every route and every act has a least role, and this is the one place where it
// stands. Pure functions and values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/gateway/target.hpp"

namespace understudy::gateway {

/// Each may what those before it may. `none`: nobody is logged in. `terminal`: opens the terminals it is bound to.
/// `observer`: sees the console and rehearses. `operator_`: acts on terminals and machines. `administrator`: fences,
/// changes definitions, reads the audit log.
enum class Role { none, terminal, observer, operator_, administrator };

[[nodiscard]] const char* to_string(Role role);

/// Nothing if no account can have a role of this name.
[[nodiscard]] std::optional<Role> role_named(std::string_view name);

/// What a target needs. `none`: open to everybody, which only health and what the login page shows are. For
/// acts it is what the least of them needs; least_role_of_act() says the rest.
[[nodiscard]] Role least_role(const Asked& asked);

/// Nothing if there is no such act. An act that is only rehearsed (dry-run=yes) and questions need no more than an observer.
[[nodiscard]] std::optional<Role> least_role_of_act(std::string_view verb, const std::vector<std::string>& arguments);

/// Names of terminals, or "*" for all.
using Terminals = std::vector<std::string>;

/// Whether a role bound to these terminals may open this one. An operator or administrator who is bound to none may
/// open all, because they could act on all; everybody else none.
[[nodiscard]] bool may_open(Role role, const Terminals& bound, std::string_view terminal);

}  // namespace understudy::gateway
