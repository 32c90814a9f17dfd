// The terminal's window: the newest complete picture, the line over it while there is no live one, and what an
// administrator says. Everything is composed out of sight and shown at once. Belongs to the window's thread.
#pragma once

#include <SDL.h>

#include <memory>
#include <string>

#include "client/terminal/lettering.hpp"
#include "client/terminal/options.hpp"
#include "viewer/link_types.hpp"
#include "viewer/view.hpp"

namespace understudy::terminal {

/// What lies over the picture.
struct Overlay {
    bool dimmed = false;
    std::string line;  ///< in the middle of the lower part; in the middle where there is no picture
    bool urgent = false;  ///< the line needs somebody to do something
    std::string notice;  ///< at the top
    bool operator==(const Overlay&) const = default;
};

class Screen {
public:
    /// Errors: `unavailable` (no display), `failed`, `not_found` (no font).
    [[nodiscard]] static Result<std::unique_ptr<Screen>> open(const Options& options);
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;
    ~Screen();

    /// Takes over changed parts of a complete picture.
    void keep(const viewer::PictureChange& change);
    [[nodiscard]] bool has_picture() const { return texture_ != nullptr; }
    [[nodiscard]] viewer::Size picture_size() const { return picture_size_; }

    void set_overlay(Overlay overlay);
    /// Draws if something has changed since the last time.
    void draw();
    void expose() { stale_ = true; }
    /// The renderer has lost its textures: they are made anew from `picture`, if there is one.
    void restore(const std::shared_ptr<viewer::Picture>& picture);

    /// The size that a desktop should have to fill the window, in desktop pixels.
    [[nodiscard]] viewer::Size wished_size() const;
    /// The desktop's point under a point of the window as SDL tells it.
    [[nodiscard]] viewer::Point to_desktop(int x, int y) const;

    void use_shape(const viewer::PointerShape& shape);
    void use_waiting_shape();
    [[nodiscard]] bool is_full_screen() const;
    void toggle_full_screen();

private:
    Screen() = default;
    [[nodiscard]] viewer::Size pixels() const;
    [[nodiscard]] double scale() const;
    [[nodiscard]] viewer::View view() const;
    void draw_box(const std::string& text, Lettering& lettering, int top, SDL_Color ground, SDL_Color ink);
    void use_cursor(SDL_Cursor* cursor);

    SDL_Window* window_ = nullptr;
    SDL_Renderer* renderer_ = nullptr;
    SDL_Texture* texture_ = nullptr;  ///< the newest complete picture
    SDL_Cursor* cursor_ = nullptr;
    std::unique_ptr<Lettering> line_lettering_;
    std::unique_ptr<Lettering> notice_lettering_;
    viewer::Size picture_size_;
    viewer::Size window_size_;        ///< when it does not fill the screen
    const void* kept_from_ = nullptr;  ///< which picture the texture was filled from; compared, never used
    double wanted_scale_ = 0;
    Overlay overlay_;
    bool stale_ = true;
};

}  // namespace understudy::terminal
