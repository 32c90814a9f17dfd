// From the keys of this computer to the keys of the desktop. Keys that write text are taken from what they wrote, so
// that layouts, AltGr, dead keys and input methods of the person count. Pure; belongs to the window's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "client/terminal/keysyms.hpp"
#include "viewer/input.hpp"

namespace understudy::terminal {

/// One press of a key as SDL tells it.
struct KeyPress {
    int scancode = 0;             ///< SDL_Scancode
    std::int32_t keycode = 0;     ///< SDL_Keycode: what the key writes without modifiers
    std::uint16_t modifiers = 0;  ///< SDL_Keymod
    /// The symbol that the window system itself gives to this press, with its modifiers; 0: it does not say.
    std::uint32_t native_keysym = 0;
};

class Keyboard {
public:
    [[nodiscard]] std::vector<viewer::KeyInput> press(const KeyPress& key);
    /// What was written by the press before, or by several, or by an input method.
    [[nodiscard]] std::vector<viewer::KeyInput> text(std::string_view utf8);
    [[nodiscard]] std::vector<viewer::KeyInput> release(int scancode);
    /// Releases of everything that is down, last pressed first.
    [[nodiscard]] std::vector<viewer::KeyInput> release_all();
    /// The desktop that knew about pressed keys is gone.
    void forget();

private:
    viewer::KeyboardState state_;
    int awaiting_text_ = 0;     ///< scancode of a press whose text comes next; 0: none
    bool text_is_known_ = false;  ///< the press has been sent already: its text is not for the desktop
};

}  // namespace understudy::terminal
