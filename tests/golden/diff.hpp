// Differences between two texts, line by line, for people. Pure.
#pragma once

#include <string>

namespace understudy::golden {

/// Empty when equal; else hunks with three lines of context: ' ' same, '-' only before, '+' only after.
[[nodiscard]] std::string difference(const std::string& before, const std::string& after);

}  // namespace understudy::golden
