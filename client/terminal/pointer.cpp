// See pointer.hpp.
#include "client/terminal/pointer.hpp"

#include <SDL_mouse.h>

#include <algorithm>
#include <cmath>

namespace understudy::terminal {
namespace {

/// Takes the whole notches out of what has been collected.
int whole_notches(float& collected, float turned) {
    // Turning back begins anew: what was left over from the other direction would swallow the first notch.
    if (collected * turned < 0) collected = 0;
    collected = std::clamp(collected + turned, static_cast<float>(-Wheel::kMostClicks), static_cast<float>(Wheel::kMostClicks));
    const int whole = static_cast<int>(std::trunc(collected));
    collected -= static_cast<float>(whole);
    return whole;
}

void add_clicks(std::vector<unsigned>& clicks, int notches, unsigned positive, unsigned negative) {
    clicks.insert(clicks.end(), static_cast<std::size_t>(std::abs(notches)), notches > 0 ? positive : negative);
}

}  // namespace

unsigned desktop_button(std::uint8_t sdl_button) {
    switch (sdl_button) {
        case SDL_BUTTON_LEFT: return 1;
        case SDL_BUTTON_MIDDLE: return 2;
        case SDL_BUTTON_RIGHT: return 3;
        case SDL_BUTTON_X1: return 8;
        default: return 0;
    }
}

std::vector<unsigned> Wheel::turn(float right, float away) {
    std::vector<unsigned> clicks;
    add_clicks(clicks, whole_notches(away_, away), 4, 5);
    add_clicks(clicks, whole_notches(right_, right), 7, 6);
    return clicks;
}

}  // namespace understudy::terminal
