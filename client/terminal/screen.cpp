// See screen.hpp.
#include "client/terminal/screen.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace understudy::terminal {
namespace {

using viewer::Rect;
using viewer::Size;
using viewer::View;

constexpr SDL_Color kSurround{16, 22, 27, 255};
constexpr SDL_Color kDim{0, 0, 0, 120};
constexpr SDL_Color kPanel{12, 18, 23, 225};
constexpr SDL_Color kInk{229, 235, 241, 255};
constexpr SDL_Color kUrgentPanel{82, 30, 26, 240};
constexpr SDL_Color kNoticePanel{253, 240, 213, 255};
constexpr SDL_Color kNoticeInk{61, 42, 5, 255};
constexpr int kTextHeight = 17;
constexpr int kPadding = 14;

SDL_Rect sdl_rect(const Rect& rect) { return {rect.x, rect.y, rect.width, rect.height}; }

tl::unexpected<Error> sdl_failure(const std::string& what) {
    return failure(ErrorCode::unavailable, what + ": " + SDL_GetError());
}

std::uint32_t window_flags(const Options& options) {
    const std::uint32_t flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI;
    return options.appearance == Appearance::window ? flags : flags | SDL_WINDOW_FULLSCREEN_DESKTOP;
}

}  // namespace

Result<std::unique_ptr<Screen>> Screen::open(const Options& options) {
    std::unique_ptr<Screen> screen(new Screen);
    const std::string title = options.terminal + " – Understudy";
    screen->window_size_ = options.window_size;
    SDL_Rect place{SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, options.window_size.width, options.window_size.height};
    // On a thin client nobody manages windows: what is to fill the screen has to have its size by itself.
    if (options.appearance != Appearance::window) SDL_GetDisplayBounds(0, &place);
    screen->window_ = SDL_CreateWindow(title.c_str(), place.x, place.y, place.w, place.h, window_flags(options));
    if (screen->window_ == nullptr) return sdl_failure("there is no window to be had");
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    screen->renderer_ = SDL_CreateRenderer(screen->window_, -1, 0);
    if (screen->renderer_ == nullptr) return sdl_failure("nothing can be drawn in the window");
    SDL_SetRenderDrawBlendMode(screen->renderer_, SDL_BLENDMODE_BLEND);
    screen->wanted_scale_ = options.scale;
    const int height = static_cast<int>(std::lround(kTextHeight * screen->scale()));
    for (auto* lettering : {&screen->line_lettering_, &screen->notice_lettering_}) {
        auto opened = Lettering::open(options.font_file, height);
        if (!opened) return tl::unexpected(opened.error());
        *lettering = std::move(*opened);
    }
    if (options.appearance == Appearance::kiosk) SDL_SetWindowKeyboardGrab(screen->window_, SDL_TRUE);
    if (options.appearance != Appearance::window) SDL_SetWindowInputFocus(screen->window_);
    return screen;
}

Screen::~Screen() {
    line_lettering_.reset();
    notice_lettering_.reset();
    if (texture_ != nullptr) SDL_DestroyTexture(texture_);
    if (cursor_ != nullptr) SDL_FreeCursor(cursor_);
    if (renderer_ != nullptr) SDL_DestroyRenderer(renderer_);
    if (window_ != nullptr) SDL_DestroyWindow(window_);
}

// ------------------------------------------------------------------ the picture

void Screen::keep(const viewer::PictureChange& change) {
    const Size size{change.picture->width(), change.picture->height()};
    if (texture_ == nullptr || size != picture_size_) {
        SDL_Texture* fresh = SDL_CreateTexture(renderer_, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, size.width, size.height);
        if (fresh == nullptr) return;  // too big for the renderer, or no memory: the old picture stays
        if (texture_ != nullptr) SDL_DestroyTexture(texture_);
        texture_ = fresh;
        picture_size_ = size;
        kept_from_ = nullptr;
    }
    const bool is_new = std::exchange(kept_from_, change.picture.get()) != change.picture.get();
    const Rect whole{0, 0, size.width, size.height};
    for (const Rect& part : is_new ? std::vector{whole} : change.parts) {
        const SDL_Rect area = sdl_rect(viewer::intersection(part, whole));
        const std::size_t offset = static_cast<std::size_t>(area.y) * change.picture->bytes_per_row() + static_cast<std::size_t>(area.x) * 4;
        SDL_UpdateTexture(texture_, &area, change.picture->bytes() + offset, static_cast<int>(change.picture->bytes_per_row()));
    }
    stale_ = true;
}

void Screen::restore(const std::shared_ptr<viewer::Picture>& picture) {
    line_lettering_->forget();
    notice_lettering_->forget();
    if (texture_ != nullptr) SDL_DestroyTexture(texture_);
    texture_ = nullptr;
    if (picture != nullptr) keep({picture, {}});
    stale_ = true;
}

Size Screen::pixels() const {
    Size size;
    SDL_GetRendererOutputSize(renderer_, &size.width, &size.height);
    return size;
}

double Screen::scale() const {
    if (wanted_scale_ > 0) return wanted_scale_;
    int width = 0;
    SDL_GetWindowSize(window_, &width, nullptr);
    return width > 0 ? static_cast<double>(pixels().width) / width : 1.0;
}

View Screen::view() const { return viewer::make_view(picture_size_, pixels(), viewer::Fit::fill); }

Size Screen::wished_size() const {
    const Size size = pixels();
    return {static_cast<int>(std::lround(size.width / scale())), static_cast<int>(std::lround(size.height / scale()))};
}

viewer::Point Screen::to_desktop(int x, int y) const {
    Size window;
    SDL_GetWindowSize(window_, &window.width, &window.height);
    const Size size = pixels();
    const viewer::Point at{x * size.width / std::max(1, window.width), y * size.height / std::max(1, window.height)};
    return viewer::to_picture(view(), picture_size_, at);
}

// ------------------------------------------------------------------ drawing

void Screen::set_overlay(Overlay overlay) {
    if (overlay == overlay_) return;
    overlay_ = std::move(overlay);
    stale_ = true;
}

void Screen::draw_box(const std::string& text, Lettering& lettering, int top, SDL_Color ground, SDL_Color ink) {
    const Size size = pixels();
    const int padding = static_cast<int>(std::lround(kPadding * scale()));
    const int room = std::max(60, std::min(size.width * 9 / 10, static_cast<int>(720 * scale())) - 2 * padding);
    SDL_Texture* letters = lettering.texture(renderer_, text, room, ink);
    if (letters == nullptr) return;
    const SDL_Rect panel{(size.width - lettering.size().width) / 2 - padding, std::min(top, size.height - lettering.size().height - 2 * padding),
                         lettering.size().width + 2 * padding, lettering.size().height + 2 * padding};
    SDL_SetRenderDrawColor(renderer_, ground.r, ground.g, ground.b, ground.a);
    SDL_RenderFillRect(renderer_, &panel);
    const SDL_Rect inside{panel.x + padding, panel.y + padding, lettering.size().width, lettering.size().height};
    SDL_RenderCopy(renderer_, letters, nullptr, &inside);
}

void Screen::draw() {
    if (!std::exchange(stale_, false)) return;
    const Size size = pixels();
    SDL_SetRenderDrawColor(renderer_, kSurround.r, kSurround.g, kSurround.b, 255);
    SDL_RenderClear(renderer_);
    if (texture_ != nullptr) {
        const SDL_Rect target = sdl_rect(view().target);
        SDL_RenderCopy(renderer_, texture_, nullptr, &target);
    }
    if (overlay_.dimmed) {
        SDL_SetRenderDrawColor(renderer_, kDim.r, kDim.g, kDim.b, kDim.a);
        SDL_RenderFillRect(renderer_, nullptr);
    }
    const int line_top = has_picture() ? size.height * 85 / 100 : size.height * 46 / 100;
    draw_box(overlay_.line, *line_lettering_, line_top, overlay_.urgent ? kUrgentPanel : kPanel, kInk);
    draw_box(overlay_.notice, *notice_lettering_, size.height * 9 / 100, kNoticePanel, kNoticeInk);
    SDL_RenderPresent(renderer_);
}

// ------------------------------------------------------------------ pointer and full screen

void Screen::use_cursor(SDL_Cursor* cursor) {
    if (cursor == nullptr) return;
    SDL_SetCursor(cursor);
    if (cursor_ != nullptr) SDL_FreeCursor(cursor_);
    cursor_ = cursor;
}

void Screen::use_shape(const viewer::PointerShape& shape) {
    if (shape.size.width <= 0 || shape.size.height <= 0) return;
    // SDL only reads the pixels; its interface predates const.
    auto* pixels_of_shape = const_cast<std::uint32_t*>(shape.argb.data());
    SDL_Surface* surface = SDL_CreateRGBSurfaceWithFormatFrom(pixels_of_shape, shape.size.width, shape.size.height, 32,
                                                              shape.size.width * 4, SDL_PIXELFORMAT_ARGB8888);
    if (surface == nullptr) return;
    use_cursor(SDL_CreateColorCursor(surface, std::clamp(shape.hot_spot.x, 0, shape.size.width - 1),
                                     std::clamp(shape.hot_spot.y, 0, shape.size.height - 1)));
    SDL_FreeSurface(surface);
}

void Screen::use_waiting_shape() { use_cursor(SDL_CreateSystemCursor(SDL_SYSTEM_CURSOR_WAIT)); }

bool Screen::is_full_screen() const { return (SDL_GetWindowFlags(window_) & SDL_WINDOW_FULLSCREEN) != 0; }

void Screen::toggle_full_screen() {
    const bool leaves = is_full_screen();
    SDL_SetWindowFullscreen(window_, leaves ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
    if (leaves) SDL_SetWindowSize(window_, window_size_.width, window_size_.height);
    stale_ = true;
}

}  // namespace understudy::terminal
