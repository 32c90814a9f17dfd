// Can everybody be placed? A small solver of its own: it packs primaries and backups onto the machines that
// really could be used, host by host, and knows nothing of how the manager places. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace understudy::sim {

struct SiteShape {
    std::vector<std::uint32_t> instances_per_host;  ///< that can exist on each usable host
    std::uint32_t instances_at_most = 0;            ///< over all of them
    std::uint32_t slots = 4;
};

struct Demand {
    std::uint32_t terminals = 0;
    std::uint32_t applications = 1;  ///< sessions per terminal
    std::uint32_t presentation_backups = 0;
    std::uint32_t execution_backups = 0;
};

/// True when a placement was found: each backup on another host than its primary, no machine over its
/// slots, no machine in two roles. May say no to a demand that could just be met (it packs first-fit), so
/// a yes can be relied on.
[[nodiscard]] bool can_place(const SiteShape& site, const Demand& demand);

}  // namespace understudy::sim
