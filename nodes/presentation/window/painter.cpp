// Drawing with the X server's own means: MIT-SHM for new pixels, RENDER for scaling, dimming and text.
#include "nodes/presentation/window/painter.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "nodes/presentation/window/x_errors.hpp"

namespace understudy::window {
namespace {

constexpr unsigned long kSurroundColour = 0x202428;
constexpr XRenderColor kDim{0, 0, 0, 0x9000};
constexpr XRenderColor kPanel{0x1600, 0x1a00, 0x1e00, 0xe800};
constexpr XRenderColor kInk{0xf000, 0xf000, 0xf000, 0xffff};
constexpr int kPanelPadding = 14;
constexpr const char* kFontName = "sans-serif:size=12";

int text_width(Display* display, XftFont* font, const std::string& text) {
    XGlyphInfo extents{};
    XftTextExtentsUtf8(display, font, reinterpret_cast<const FcChar8*>(text.data()), static_cast<int>(text.size()),
                       &extents);
    return extents.xOff;
}

/// Breaks a text between words so that each line is at most `width` pixels, where words allow it.
std::vector<std::string> wrapped(Display* display, XftFont* font, const std::string& text, int width) {
    std::vector<std::string> lines;
    std::istringstream words(text);
    std::string line;
    for (std::string word; words >> word;) {
        const std::string longer = line.empty() ? word : line + " " + word;
        if (!line.empty() && text_width(display, font, longer) > width) {
            lines.push_back(line);
            line = word;
        } else {
            line = longer;
        }
    }
    if (!line.empty()) lines.push_back(line);
    return lines;
}

}  // namespace

Painter::Painter(Display* display, Window window) : display_(display), window_(window) {}

Result<std::unique_ptr<Painter>> Painter::create(Display* display, Window window) {
    std::unique_ptr<Painter> painter(new Painter(display, window));
    XWindowAttributes attributes{};
    XGetWindowAttributes(display, window, &attributes);
    painter->visual_ = attributes.visual;
    painter->depth_ = attributes.depth;
    const bool has_our_pixels = attributes.depth == 24 && attributes.visual->red_mask == 0xFF0000 &&
                                attributes.visual->green_mask == 0xFF00 && attributes.visual->blue_mask == 0xFF;
    int event_base = 0;
    int error_base = 0;
    if (!has_our_pixels || XRenderQueryExtension(display, &event_base, &error_base) == 0) {
        return failure(ErrorCode::unavailable,
                       "the desktop's X server must have 24-bit colour and the RENDER extension; start it with -depth 24");
    }
    painter->format_ = XRenderFindVisualFormat(display, attributes.visual);
    painter->gc_ = XCreateGC(display, window, 0, nullptr);
    XSetGraphicsExposures(display, painter->gc_, False);
    painter->font_ = XftFontOpenName(display, DefaultScreen(display), kFontName);
    painter->window_picture_ = XRenderCreatePicture(display, window, painter->format_, 0, nullptr);
    return painter;
}

Painter::~Painter() {
    release_source();
    if (kept_ != None) {
        XRenderFreePicture(display_, kept_picture_);
        XFreePixmap(display_, kept_);
    }
    if (window_picture_ != None) XRenderFreePicture(display_, window_picture_);
    if (font_ != nullptr) XftFontClose(display_, font_);
    if (gc_ != nullptr) XFreeGC(display_, gc_);
}

// Taking pixels over.

void Painter::release_source() {
    if (image_ != nullptr) {
        image_->data = nullptr;  // the memory is the picture's
        XDestroyImage(image_);
        image_ = nullptr;
    }
    if (is_shared_) XShmDetach(display_, &segment_);
    is_shared_ = false;
    source_.reset();
}

bool Painter::attach(const std::shared_ptr<Picture>& picture) {
    if (source_ == picture) return image_ != nullptr;
    release_source();
    source_ = picture;
    auto* data = reinterpret_cast<char*>(picture->bytes());
    const auto width = static_cast<unsigned>(picture->width());
    const auto height = static_cast<unsigned>(picture->height());
    if (XShmQueryExtension(display_) != 0) {
        segment_ = XShmSegmentInfo{};
        segment_.shmid = picture->shared_memory_id();
        segment_.shmaddr = data;
        segment_.readOnly = True;
        XErrorTrap trap(display_);
        XShmAttach(display_, &segment_);
        is_shared_ = !trap.failed();
    }
    const auto depth = static_cast<unsigned>(depth_);
    image_ = is_shared_ ? XShmCreateImage(display_, visual_, depth, ZPixmap, data, &segment_, width, height)
                        : XCreateImage(display_, visual_, depth, ZPixmap, 0, data, width, height, 32, 0);
    return image_ != nullptr;
}

void Painter::adopt_size(Size size) {
    if (kept_ != None && size == picture_size_) return;
    if (kept_ != None) {
        XRenderFreePicture(display_, kept_picture_);
        XFreePixmap(display_, kept_);
    }
    picture_size_ = size;
    kept_ = XCreatePixmap(display_, window_, static_cast<unsigned>(size.width), static_cast<unsigned>(size.height),
                          static_cast<unsigned>(depth_));
    kept_picture_ = XRenderCreatePicture(display_, kept_, format_, 0, nullptr);
}

void Painter::keep(const PictureChange& change) {
    const bool is_new = source_ != change.picture;
    if (!attach(change.picture)) return;
    adopt_size(Size{change.picture->width(), change.picture->height()});
    std::vector<Rect> parts = change.parts;
    if (is_new) parts.assign(1, Rect{0, 0, picture_size_.width, picture_size_.height});
    for (const Rect& part : parts) {
        const auto width = static_cast<unsigned>(part.width);
        const auto height = static_cast<unsigned>(part.height);
        if (is_shared_) {
            XShmPutImage(display_, kept_, gc_, image_, part.x, part.y, part.x, part.y, width, height, False);
        } else {
            XPutImage(display_, kept_, gc_, image_, part.x, part.y, part.x, part.y, width, height);
        }
    }
}

// Drawing.

void Painter::fill_around(Drawable target, const View& view, Size window) {
    const Rect& t = view.target;
    const Rect inside = kept_ == None ? Rect{} : intersection(t, Rect{0, 0, window.width, window.height});
    const std::array<Rect, 4> bands{
        Rect{0, 0, window.width, inside.y}, Rect{0, inside.y, inside.x, inside.height},
        Rect{inside.x + inside.width, inside.y, window.width - inside.x - inside.width, inside.height},
        Rect{0, inside.y + inside.height, window.width, window.height - inside.y - inside.height}};
    XSetForeground(display_, gc_, kSurroundColour);
    for (const Rect& band : bands) {
        if (band.empty()) continue;
        XFillRectangle(display_, target, gc_, band.x, band.y, static_cast<unsigned>(band.width),
                       static_cast<unsigned>(band.height));
    }
}

void Painter::paint_picture(Drawable target, ::Picture target_picture, const View& view, const Rect& window_part) {
    const Rect part = intersection(window_part, view.target);
    if (kept_ == None || part.empty()) return;
    const int from_x = part.x - view.target.x;
    const int from_y = part.y - view.target.y;
    const auto width = static_cast<unsigned>(part.width);
    const auto height = static_cast<unsigned>(part.height);
    if (view.is_exact()) {
        XCopyArea(display_, kept_, target, gc_, from_x, from_y, width, height, part.x, part.y);
        return;
    }
    const XFixed step = XDoubleToFixed(1.0 / view.scale);
    XTransform transform = {{{step, 0, 0}, {0, step, 0}, {0, 0, XDoubleToFixed(1.0)}}};
    XRenderSetPictureTransform(display_, kept_picture_, &transform);
    XRenderSetPictureFilter(display_, kept_picture_, "bilinear", nullptr, 0);
    XRenderComposite(display_, PictOpSrc, kept_picture_, None, target_picture, from_x, from_y, 0, 0, part.x, part.y,
                     width, height);
}

void Painter::write_notice(Drawable target, ::Picture target_picture, Size window) {
    XRenderFillRectangle(display_, PictOpOver, target_picture, &kDim, 0, 0, static_cast<unsigned>(window.width),
                         static_cast<unsigned>(window.height));
    if (font_ == nullptr) return;
    const int room = std::max(60, window.width - 4 * kPanelPadding);
    const auto lines = wrapped(display_, font_, notice_, room);
    int widest = 0;
    for (const auto& line : lines) widest = std::max(widest, text_width(display_, font_, line));
    const int line_height = font_->ascent + font_->descent + 2;
    const int panel_width = std::min(window.width, widest + 2 * kPanelPadding);
    const int panel_height = line_height * static_cast<int>(lines.size()) + 2 * kPanelPadding;
    const int left = (window.width - panel_width) / 2;
    const int top = (window.height - panel_height) / 2;
    XRenderFillRectangle(display_, PictOpOver, target_picture, &kPanel, left, top, static_cast<unsigned>(panel_width),
                         static_cast<unsigned>(panel_height));
    XftDraw* const draw = XftDrawCreate(display_, target, visual_, DefaultColormap(display_, DefaultScreen(display_)));
    XftColor ink{};
    ink.pixel = 0xF0F0F0;
    ink.color = kInk;
    int baseline = top + kPanelPadding + font_->ascent;
    for (const auto& line : lines) {
        const int x = (window.width - text_width(display_, font_, line)) / 2;
        XftDrawStringUtf8(draw, &ink, font_, x, baseline, reinterpret_cast<const FcChar8*>(line.data()),
                          static_cast<int>(line.size()));
        baseline += line_height;
    }
    XftDrawDestroy(draw);
}

void Painter::draw(const View& view, Size window) {
    const Rect whole{0, 0, window.width, window.height};
    if (notice_.empty()) {
        fill_around(window_, view, window);
        paint_picture(window_, window_picture_, view, whole);
        return;
    }
    // Composed out of sight, so that nobody sees the steps.
    const Pixmap back = XCreatePixmap(display_, window_, static_cast<unsigned>(window.width),
                                      static_cast<unsigned>(window.height), static_cast<unsigned>(depth_));
    const ::Picture back_picture = XRenderCreatePicture(display_, back, format_, 0, nullptr);
    fill_around(back, view, window);
    paint_picture(back, back_picture, view, whole);
    write_notice(back, back_picture, window);
    XCopyArea(display_, back, window_, gc_, 0, 0, static_cast<unsigned>(window.width),
              static_cast<unsigned>(window.height), 0, 0);
    XRenderFreePicture(display_, back_picture);
    XFreePixmap(display_, back);
}

void Painter::draw_parts(const View& view, Size window, const std::vector<Rect>& parts) {
    const Rect whole{0, 0, window.width, window.height};
    for (const Rect& part : parts) {
        paint_picture(window_, window_picture_, view, intersection(to_window(view, part), whole));
    }
}

}  // namespace understudy::window
