// Where something new should run: a pure choice that explains itself. Hard rules exclude (health, slots,
// separation); what is left is scored, highest first, ties to the lowest node id.
#pragma once

#include <string>
#include <vector>

#include "manager/core/records.hpp"

namespace understudy::manager {

struct State;

struct PlacementRequest {
    Role role = Role::none;
    TerminalId terminal;
    SessionId session;             ///< none for a desktop
    std::string flavour;
    NodeId primary;                ///< set when a backup is wanted: keep apart from this node
    Separation separation = Separation::host;
    std::string environment;       ///< that it needs; empty: none
    std::vector<NodeId> exclude;   ///< already used for the same thing
    std::vector<NodeId> avoid;     ///< only when nothing else is left (failed there lately)
};

/// One candidate that was looked at: chosen, or why not.
struct Considered {
    NodeId node;
    bool eligible = false;
    std::int32_t score = 0;
    std::string verdict;
};

struct Placement {
    NodeId chosen;  ///< none: nobody fits
    std::vector<Considered> considered;  ///< bounded; the chosen one first
};

/// Looks at the terminal's own nodes, then nodes with free slots, then idle ones; stops after a bounded
/// number of eligible candidates, so the cost does not grow with the number of nodes.
[[nodiscard]] Placement place(const State& state, const PlacementRequest& request);

/// Hosts on which a backup of `primary` must not be made: the primary's own, and those of its failure domain
/// wherever another domain has room.
[[nodiscard]] std::vector<HostId> hosts_to_avoid(const State& state, NodeId primary, const std::string& flavour,
                                                 Separation separation);

/// One line per candidate, for people.
[[nodiscard]] std::vector<std::string> explain(const State& state, const Placement& placement);

}  // namespace understudy::manager
