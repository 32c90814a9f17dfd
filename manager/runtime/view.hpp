// What an administrator sees: the core's state as JSON. Pure; called by the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "manager/core/state.hpp"

namespace understudy::manager {

/// What the view shows besides the core's own state.
struct ViewExtras {
    std::string version;
    std::int64_t now_wall_ms = 0;
    std::map<std::string, std::string> acceleration;  ///< host name → "tcg", "kvm"
    std::map<std::string, std::string> acceleration_reason;
    std::vector<std::string> alarms;
};

inline constexpr std::size_t kIncidentsShown = 50;

/// The whole view, as PROTOCOL.md describes it. Always fits a message: what is too much is left out from
/// the end of the longest lists, and "left_out" counts it.
[[nodiscard]] std::string view_json(const State& state, const ViewExtras& extras);

/// One incident; empty when there is none with this id.
[[nodiscard]] std::string incident_json(const State& state, IncidentId id);

}  // namespace understudy::manager
