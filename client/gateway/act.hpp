// What the body of POST /api/v1/act asks for. Values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/gateway/roles.hpp"
#include "protocol/result.hpp"

namespace understudy::gateway {

inline constexpr std::size_t kMostArguments = 32;

struct ActAsked {
    std::string verb;
    std::vector<std::string> arguments;  ///< "key=value"; at most kMostArguments, and none says in whose name it is
    Role least = Role::administrator;    ///< that may ask for it

    /// Why, as the caller says; empty if he does not.
    [[nodiscard]] std::string reason() const;
};

/// Errors: `invalid` (no such JSON, no such act, arguments of another shape), in words for the caller.
[[nodiscard]] Result<ActAsked> parse_act(std::string_view body);

}  // namespace understudy::gateway
