// See keyboard.hpp.
#include "client/terminal/keyboard.hpp"

#include <SDL_keyboard.h>
#include <X11/keysym.h>

#include "client/rfb/keysym.hpp"

namespace understudy::terminal {
namespace {

using viewer::KeyInput;

/// With these held a key commands instead of writing. The right Alt key is AltGr on most keyboards.
constexpr int kCommanding = KMOD_CTRL | KMOD_LALT | KMOD_GUI;

bool writes_text(std::int32_t keycode) {
    return keycode >= 0x20 && (keycode & SDLK_SCANCODE_MASK) == 0 && keycode != SDLK_DELETE;
}

/// What a commanding key means where the window system does not say: Ctrl+Shift+T is told as T.
std::uint32_t commanded_keysym(const KeyPress& key) {
    if (key.native_keysym != 0) return key.native_keysym;
    const bool is_capital = (key.modifiers & KMOD_SHIFT) != 0 && key.keycode >= 'a' && key.keycode <= 'z';
    return client::keysym_of(static_cast<char32_t>(is_capital ? key.keycode - 'a' + 'A' : key.keycode));
}

bool is_lock(int scancode) {
    return scancode == SDL_SCANCODE_CAPSLOCK || scancode == SDL_SCANCODE_NUMLOCKCLEAR;
}

}  // namespace

std::vector<KeyInput> Keyboard::press(const KeyPress& key) {
    awaiting_text_ = 0;
    text_is_known_ = false;
    const auto code = static_cast<unsigned>(key.scancode);
    std::optional<KeyInput> sent;
    if (is_lock(key.scancode)) return {};
    if (key.scancode == SDL_SCANCODE_RALT && key.native_keysym != 0) {
        sent = state_.press(code, key.native_keysym);  // Alt or AltGr: only the window system knows
    } else if (const auto special = keysym_of_key(key.scancode, (key.modifiers & KMOD_NUM) != 0 ? NumLock::on : NumLock::off)) {
        text_is_known_ = true;
        sent = state_.press(code, special);
    } else if (writes_text(key.keycode) && (key.modifiers & kCommanding) != 0) {
        text_is_known_ = true;
        sent = state_.press(code, commanded_keysym(key));
    } else {
        awaiting_text_ = key.scancode;
    }
    return sent ? std::vector{*sent} : std::vector<KeyInput>{};
}

std::vector<KeyInput> Keyboard::text(std::string_view utf8) {
    if (text_is_known_) return {};
    const std::vector<std::uint32_t> keysyms = client::keysyms_of(utf8);
    if (keysyms.size() == 1 && awaiting_text_ != 0) {
        const auto pressed = state_.press(static_cast<unsigned>(awaiting_text_), keysyms.front());
        return pressed ? std::vector{*pressed} : std::vector<KeyInput>{};
    }
    // Composed or typed by something that is no key: there is nothing to hold down.
    std::vector<KeyInput> taps;
    for (const std::uint32_t keysym : keysyms) {
        taps.push_back({keysym, true});
        taps.push_back({keysym, false});
    }
    return taps;
}

std::vector<KeyInput> Keyboard::release(int scancode) {
    if (awaiting_text_ == scancode) awaiting_text_ = 0;
    const auto released = state_.release(static_cast<unsigned>(scancode));
    return released ? std::vector{*released} : std::vector<KeyInput>{};
}

std::vector<KeyInput> Keyboard::release_all() {
    awaiting_text_ = 0;
    return state_.release_all();
}

void Keyboard::forget() {
    awaiting_text_ = 0;
    state_.forget();
}

}  // namespace understudy::terminal
