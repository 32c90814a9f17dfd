// See clipboard.hpp.
#include "client/terminal/clipboard.hpp"

#include <SDL.h>

#include "viewer/cut_text.hpp"

namespace understudy::terminal {

void ClipboardBridge::take_over(const std::string& utf8) {
    if (utf8.empty()) return;
    shared_ = utf8;
    SDL_SetClipboardText(utf8.c_str());
    SDL_SetPrimarySelectionText(utf8.c_str());
}

std::optional<std::string> ClipboardBridge::news() {
    if (SDL_HasClipboardText() == SDL_FALSE) return std::nullopt;
    char* text = SDL_GetClipboardText();
    std::string found = text == nullptr ? "" : text;
    SDL_free(text);
    if (found.empty() || found == shared_ || found.size() > viewer::kMaxClipboardBytes) return std::nullopt;
    shared_ = found;
    return found;
}

}  // namespace understudy::terminal
