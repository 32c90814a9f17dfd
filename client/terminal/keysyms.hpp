// From SDL's keys to X keysyms, for keys that write no text of their own. Pure functions; any thread.
#pragma once

#include <cstdint>

namespace understudy::terminal {

enum class NumLock { off, on };

/// The keysym of a key that does not write text: Return, arrows, function keys, modifiers, the keypad. 0: none, the
/// key writes text or is not for the desktop (lock keys act here: what they change is in the symbols sent).
/// `scancode`: SDL_Scancode. `num_lock`: whether the keypad writes digits.
[[nodiscard]] std::uint32_t keysym_of_key(int scancode, NumLock num_lock);

}  // namespace understudy::terminal
