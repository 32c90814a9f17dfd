// Which marks a batch of simulations must have hit.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace understudy::sim {

/// Prints the table of all marks; false when a required one was never hit.
[[nodiscard]] bool print_coverage(const std::map<std::string, std::uint64_t>& hit);

}  // namespace understudy::sim
