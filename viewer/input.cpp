// What is pressed. Pure; the window's thread.
#include "viewer/input.hpp"

#include <algorithm>

namespace understudy::viewer {
namespace {

std::uint8_t bit_of(unsigned button) {
    return button >= 1 && button <= 8 ? static_cast<std::uint8_t>(1U << (button - 1)) : std::uint8_t{0};
}

}  // namespace

std::optional<KeyInput> KeyboardState::press(unsigned keycode, std::uint32_t keysym) {
    if (keysym == 0) return std::nullopt;
    const auto same = [keycode](const Pressed& key) { return key.keycode == keycode; };
    const auto found = std::find_if(pressed_.begin(), pressed_.end(), same);
    // A repeating key keeps its symbol even if a modifier has changed: else the first one would stay down.
    if (found != pressed_.end()) return KeyInput{found->keysym, true};
    pressed_.push_back(Pressed{keycode, keysym});
    return KeyInput{keysym, true};
}

std::optional<KeyInput> KeyboardState::release(unsigned keycode) {
    const auto same = [keycode](const Pressed& key) { return key.keycode == keycode; };
    const auto found = std::find_if(pressed_.begin(), pressed_.end(), same);
    if (found == pressed_.end()) return std::nullopt;
    const KeyInput input{found->keysym, false};
    pressed_.erase(found);
    return input;
}

std::vector<KeyInput> KeyboardState::release_all() {
    std::vector<KeyInput> releases;
    for (auto key = pressed_.rbegin(); key != pressed_.rend(); ++key) releases.push_back(KeyInput{key->keysym, false});
    pressed_.clear();
    return releases;
}

std::optional<PointerInput> PointerState::press(unsigned button, Point at) {
    if (bit_of(button) == 0) return std::nullopt;
    buttons_ = static_cast<std::uint8_t>(buttons_ | bit_of(button));
    at_ = at;
    return PointerInput{at_, buttons_};
}

std::optional<PointerInput> PointerState::release(unsigned button, Point at) {
    if ((buttons_ & bit_of(button)) == 0) return std::nullopt;
    buttons_ = static_cast<std::uint8_t>(buttons_ & ~bit_of(button));
    at_ = at;
    return PointerInput{at_, buttons_};
}

PointerInput PointerState::move(Point at) {
    at_ = at;
    return PointerInput{at_, buttons_};
}

std::optional<PointerInput> PointerState::release_all() {
    if (buttons_ == 0) return std::nullopt;
    buttons_ = 0;
    return PointerInput{at_, 0};
}

}  // namespace understudy::viewer
