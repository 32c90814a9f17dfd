// See shortcut.hpp.
#include "client/terminal/shortcut.hpp"

#include <SDL_keyboard.h>

#include <algorithm>
#include <cctype>

namespace understudy::terminal {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

bool note_modifier(Shortcut& shortcut, const std::string& word) {
    if (word == "ctrl" || word == "control") shortcut.control = true;
    else if (word == "alt") shortcut.alt = true;
    else if (word == "shift") shortcut.shift = true;
    else if (word == "super" || word == "win") shortcut.super = true;
    else return false;
    return true;
}

}  // namespace

Result<Shortcut> parse_shortcut(std::string_view text) {
    Shortcut shortcut;
    if (lower(text) == "none") return shortcut;
    const std::string quoted = "\"" + std::string(text) + "\"";
    std::string_view rest = text;
    while (true) {
        const auto plus = rest.find('+');
        const std::string word(rest.substr(0, plus));
        if (plus == std::string_view::npos) {
            shortcut.scancode = SDL_GetScancodeFromName(word == "Enter" ? "Return" : word.c_str());
            if (word.empty() || shortcut.scancode == SDL_SCANCODE_UNKNOWN) {
                return failure(ErrorCode::invalid, quoted + " does not end with the name of a key, such as F12, Return or Q");
            }
            break;
        }
        if (!note_modifier(shortcut, lower(word))) {
            return failure(ErrorCode::invalid, quoted + ": \"" + word + "\" is none of Ctrl, Alt, Shift, Super");
        }
        rest = rest.substr(plus + 1);
    }
    if (!shortcut.control && !shortcut.alt && !shortcut.super) {
        return failure(ErrorCode::invalid, quoted + " needs Ctrl, Alt or Super in it: plain keys belong to the desktop");
    }
    return shortcut;
}

bool matches(const Shortcut& shortcut, int scancode, std::uint16_t modifiers) {
    const auto held = [modifiers](int bits) { return (modifiers & bits) != 0; };
    return shortcut.scancode != 0 && shortcut.scancode == scancode && shortcut.control == held(KMOD_CTRL) &&
           shortcut.alt == held(KMOD_ALT) && shortcut.shift == held(KMOD_SHIFT) && shortcut.super == held(KMOD_GUI);
}

}  // namespace understudy::terminal
