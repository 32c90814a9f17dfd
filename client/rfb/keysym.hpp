// From text and key names to X keysyms. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace understudy::client {

/// The keysym that writes this character; a line break is Return, a tab Tab.
[[nodiscard]] std::uint32_t keysym_of(char32_t character);

/// One keysym per character of UTF-8 text; line breaks are Return, tabs Tab. Bytes that are no UTF-8 are
/// left out.
[[nodiscard]] std::vector<std::uint32_t> keysyms_of(std::string_view text);

/// "Return", "Escape", "F5", "Control_L", or a single character. Nothing if the name is not known.
[[nodiscard]] std::optional<std::uint32_t> keysym_named(std::string_view name);

}  // namespace understudy::client
