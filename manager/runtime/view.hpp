// What an administrator sees: the core's state as JSON. Pure; called by the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "manager/core/state.hpp"
#include "manager/runtime/peers_port.hpp"

namespace understudy::manager {

/// What the view shows besides the core's own state.
struct ViewExtras {
    std::string version;
    std::int64_t now_wall_ms = 0;
    std::map<std::string, std::string> acceleration;  ///< host name → "tcg", "kvm"
    std::map<std::string, std::string> acceleration_reason;
    std::vector<std::string> alarms;
    PeerFigures peers;
};

inline constexpr std::size_t kIncidentsShown = 50;

inline constexpr std::size_t kMostParts = 32;  ///< of one view

/// The whole view, as PROTOCOL.md describes it: one text, or several that each fit a message. Then each starts
/// with "view" (a number of its own), "part" (from 1) and "parts", and lists of later parts continue those of
/// earlier ones. What would not fit into kMostParts is left out from the end, and "left_out" counts it.
[[nodiscard]] std::vector<std::string> view_json(const State& state, const ViewExtras& extras, std::uint64_t number);

/// One incident; empty when there is none with this id.
[[nodiscard]] std::string incident_json(const State& state, IncidentId id);

}  // namespace understudy::manager
