// What administrators ask and want, read from an AdminRequest. Pure.
#pragma once

#include <variant>

#include "manager/core/events.hpp"
#include "manager/core/state.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

struct AskView {};
struct AskWatch {};
struct AskIncident { IncidentId id; };
/// What would happen if this host died now?
struct AskLoss { HostId host; };
/// What would happen if this was granted now? Nothing is changed.
struct AskRehearsal { Wish wish; };

/// A question for the loop, or a wish for the core.
using AdminOrder = std::variant<AskView, AskWatch, AskIncident, AskLoss, AskRehearsal, Intent>;

/// True for what changes nothing: questions, and acts with dry-run=yes. It is all an observer may ask.
[[nodiscard]] bool only_looks(const AdminRequest& request);

/// `state` serves to complete what was left out (a pool's other limits). Errors: `invalid` (unknown verb,
/// missing or wrong argument: says what is allowed), `not_found`.
[[nodiscard]] Result<AdminOrder> read_order(ClientId client, const AdminRequest& request, const State& state);

}  // namespace understudy::manager
