// The simulator's side of the instruments: marks count, and bugs can be planted. What a thread counts and plants is its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace understudy::sim {

/// How often the calling thread hit each mark so far, by name.
[[nodiscard]] const std::map<std::string, std::uint64_t, std::less<>>& marks_of_this_thread();

/// Switches one planted bug on for the calling thread, and any other off; empty: none.
void plant(std::string bug);

}  // namespace understudy::sim
