// Lines of text as textures, drawn by SDL_ttf with the system's sans serif. Belongs to the window's thread.
#pragma once

#include <SDL.h>
#include <SDL_ttf.h>

#include <memory>
#include <string>

#include "protocol/result.hpp"
#include "viewer/view.hpp"

namespace understudy::terminal {

class Lettering {
public:
    /// `font_file`: empty: what fontconfig gives for "sans". Errors: `not_found`, `failed`, with what to install.
    [[nodiscard]] static Result<std::unique_ptr<Lettering>> open(const std::string& font_file, int height_px);
    Lettering(const Lettering&) = delete;
    Lettering& operator=(const Lettering&) = delete;
    ~Lettering();

    /// Pixels of the text, broken between words so that no line is longer than `width_px`. Valid until the next call
    /// with another text, width or colour; null when there is nothing to draw.
    [[nodiscard]] SDL_Texture* texture(SDL_Renderer* renderer, const std::string& text, int width_px, SDL_Color colour);
    [[nodiscard]] viewer::Size size() const { return size_; }
    /// What was drawn before is gone (the renderer lost its textures).
    void forget();

private:
    Lettering() = default;
    TTF_Font* font_ = nullptr;
    SDL_Texture* texture_ = nullptr;
    std::string text_;
    int width_px_ = 0;
    viewer::Size size_;
};

}  // namespace understudy::terminal
