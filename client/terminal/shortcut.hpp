// Key combinations that are for the terminal itself and never reach the desktop. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/result.hpp"

namespace understudy::terminal {

/// "Ctrl+Alt+Return": modifiers and one key.
struct Shortcut {
    bool control = false;
    bool alt = false;
    bool shift = false;
    bool super = false;
    int scancode = 0;  ///< SDL_Scancode; 0: no such shortcut
    bool operator==(const Shortcut&) const = default;
};

/// Understands a combination; "none" is one that nobody can press. At least Ctrl, Alt or Super has to be in it, because
/// plain keys belong to the desktop. Errors: `invalid`, with what is wrong.
[[nodiscard]] Result<Shortcut> parse_shortcut(std::string_view text);

/// `modifiers`: SDL_Keymod. Lock keys do not matter.
[[nodiscard]] bool matches(const Shortcut& shortcut, int scancode, std::uint16_t modifiers);

}  // namespace understudy::terminal
