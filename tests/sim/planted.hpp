// Shows that the oracles catch realistic mistakes: each planted bug within its number of seeds.
#pragma once

#include <string>

#include "tests/sim/plan.hpp"

namespace understudy::sim {

/// Runs every bug listed in the file (see planted/bugs.txt), prints a table; 0 when all were caught.
[[nodiscard]] int run_planted(const std::string& path, const Options& options);

}  // namespace understudy::sim
