// From the mouse of this computer to the buttons of the desktop. Pure; belongs to the window's thread.
#pragma once

#include <cstdint>
#include <vector>

namespace understudy::terminal {

/// X's number of a button that SDL names: left 1, middle 2, right 3, back 8; 0: one that the desktop has no place for.
[[nodiscard]] unsigned desktop_button(std::uint8_t sdl_button);

/// Collects the movements of wheels and touchpads, which may be parts of a notch, until they are whole ones.
class Wheel {
public:
    /// Notches to the right and away from the person. Returns the buttons to click, one each: 4 up, 5 down, 6 left,
    /// 7 right. A wild movement is cut to kMostClicks.
    [[nodiscard]] std::vector<unsigned> turn(float right, float away);
    static constexpr int kMostClicks = 20;

private:
    float right_ = 0;
    float away_ = 0;
};

}  // namespace understudy::terminal
