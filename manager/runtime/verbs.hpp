// What administrators ask and want, read from an AdminRequest. Pure.
#pragma once

#include <variant>

#include "manager/core/events.hpp"
#include "manager/core/state.hpp"
#include "manager/runtime/peers_port.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

struct AskView {};
struct AskWatch {};
struct AskIncident { IncidentId id; };
/// What would happen if this host died now?
struct AskLoss { HostId host; };
/// What would happen if this was granted now? Nothing is changed.
struct AskRehearsal { Wish wish; };

/// Who did what? The newest `count` acts.
struct AskAudit { std::size_t count = 0; };

/// A question for the loop, or a wish for the core.
using AdminOrder = std::variant<AskView, AskWatch, AskIncident, AskLoss, AskRehearsal, AskAudit, Intent>;

/// True for what changes nothing: questions, and acts with dry-run=yes.
[[nodiscard]] bool only_looks(const AdminRequest& request);
/// True for the name of an act, rehearsed or not.
[[nodiscard]] bool acts_on_something(const AdminRequest& request);

/// Which role this needs at least: observer, operator or administrator.
[[nodiscard]] PeerRole least_role(const AdminRequest& request);

/// What becomes of an act that cannot be written into the audit log.
enum class Unrecorded : std::uint8_t {
    refused,     ///< nobody would know of it
    carried_out, ///< it brings people their work back: it is done, and an alarm says that it is not recorded
};
[[nodiscard]] Unrecorded when_unrecorded(const AdminRequest& request);

/// Whether the request says for whom it is made (by=NAME); only gateways may.
[[nodiscard]] bool names_person(const AdminRequest& request);
/// Takes that argument out of it; empty: none. Errors: `invalid` (given twice, or no name).
[[nodiscard]] Result<std::string> take_person(AdminRequest& request);

/// `state` serves to complete what was left out (a pool's other limits). Errors: `invalid` (unknown verb,
/// missing or wrong argument: says what is allowed), `not_found`.
[[nodiscard]] Result<AdminOrder> read_order(ClientId client, const AdminRequest& request, const State& state);

}  // namespace understudy::manager
