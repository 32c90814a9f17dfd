// What the window system itself says about a key. SDL tells what a key writes and where it is, but not what
// Ctrl+Shift+"=" means, nor whether the right Alt key is AltGr. Belongs to the window's thread.
#pragma once

#include <cstdint>

union SDL_Event;

namespace understudy::terminal {

/// The keysym of the key press inside an SDL_SYSWMEVENT; 0: it holds none, or the window system is another one.
[[nodiscard]] std::uint32_t native_keysym(const SDL_Event& event);

}  // namespace understudy::terminal
