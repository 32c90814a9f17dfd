// Keyboard and pointer of the desktop, as the session wants them: the keysym that a key had when it went
// down is the one that goes up, and nothing stays pressed when the window loses the focus or its session.
// The state is pure; the window's thread feeds it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "viewer/link_types.hpp"

namespace understudy::viewer {

class KeyboardState {
public:
    /// A key went down (again, when it repeats). keysym 0 (no symbol) yields nothing.
    [[nodiscard]] std::optional<KeyInput> press(unsigned keycode, std::uint32_t keysym);
    /// A key went up; nothing when it was not seen going down here.
    [[nodiscard]] std::optional<KeyInput> release(unsigned keycode);
    /// Releases of all pressed keys, last pressed first.
    [[nodiscard]] std::vector<KeyInput> release_all();
    /// The session that knew about pressed keys is gone.
    void forget() { pressed_.clear(); }
    [[nodiscard]] bool is_any_pressed() const { return !pressed_.empty(); }

private:
    struct Pressed {
        unsigned keycode;
        std::uint32_t keysym;
    };
    std::vector<Pressed> pressed_;  ///< in order of pressing; a handful
};

class PointerState {
public:
    /// `button`: X's number, 1 to 3 buttons, 4 to 7 wheel, 8 a further button; others yield nothing.
    [[nodiscard]] std::optional<PointerInput> press(unsigned button, Point at);
    [[nodiscard]] std::optional<PointerInput> release(unsigned button, Point at);
    [[nodiscard]] PointerInput move(Point at);
    /// The release of all pressed buttons; nothing when none is.
    [[nodiscard]] std::optional<PointerInput> release_all();
    void forget() { buttons_ = 0; }

private:
    std::uint8_t buttons_ = 0;
    Point at_;
};

}  // namespace understudy::viewer
