// Records to and from the store's form. Pure; any thread.
#pragma once

#include "manager/core/core.hpp"
#include "manager/core/state.hpp"

namespace understudy::manager {

/// Hands over what changed since the last call, as writes in a fixed order.
[[nodiscard]] std::vector<Write> drain_writes(State& state);

/// The whole durable state, keys ascending.
[[nodiscard]] Image write_image(const State& state);

/// Fills the empty tables of `state`. Errors: `damaged` names the key; unknown kinds are refused, since
/// a newer release wrote them.
[[nodiscard]] Result<> read_image(State& state, const Image& image);

}  // namespace understudy::manager
