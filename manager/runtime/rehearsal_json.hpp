// A rehearsal as JSON, with names a person knows. Pure; called by the loop's thread.
#pragma once

#include <string>

#include "manager/core/rehearsal.hpp"
#include "manager/core/state.hpp"

namespace understudy::manager {

/// `title`: what was imagined. The form is described by client/gateway/pages/rehearsal.schema.json.
[[nodiscard]] std::string rehearsal_json(const State& state, const Rehearsal& rehearsal, const std::string& title, std::int64_t made_wall_ms);

}  // namespace understudy::manager
