// Texts that come from outside, made fit to be shown and logged. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace understudy {

/// At most `count` characters of UTF-8 text, cut between characters, control characters made blanks.
[[nodiscard]] std::string first_characters(std::string_view text, std::size_t count);

}  // namespace understudy
