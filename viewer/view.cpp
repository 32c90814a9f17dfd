// Geometry of the picture in the window. Pure; any thread.
#include "viewer/view.hpp"

#include <algorithm>
#include <cmath>

namespace understudy::viewer {

Rect intersection(const Rect& a, const Rect& b) {
    const int left = std::max(a.x, b.x);
    const int top = std::max(a.y, b.y);
    const int right = std::min(a.x + a.width, b.x + b.width);
    const int bottom = std::min(a.y + a.height, b.y + b.height);
    if (right <= left || bottom <= top) return Rect{left, top, 0, 0};
    return Rect{left, top, right - left, bottom - top};
}

View make_view(Size picture, Size window, Fit fit) {
    if (fit == Fit::follow || picture.width <= 0 || picture.height <= 0) {
        return View{Rect{0, 0, picture.width, picture.height}, 1.0};
    }
    const double fitting = std::min(static_cast<double>(window.width) / picture.width,
                                    static_cast<double>(window.height) / picture.height);
    const double scale = fit == Fit::shrink ? std::min(1.0, fitting) : fitting;
    const int width = std::max(1, static_cast<int>(std::lround(picture.width * scale)));
    const int height = std::max(1, static_cast<int>(std::lround(picture.height * scale)));
    return View{Rect{(window.width - width) / 2, (window.height - height) / 2, width, height}, scale};
}

Rect to_window(const View& view, const Rect& part) {
    if (view.is_exact()) return Rect{view.target.x + part.x, view.target.y + part.y, part.width, part.height};
    const int left = static_cast<int>(std::floor(part.x * view.scale)) - 1;
    const int top = static_cast<int>(std::floor(part.y * view.scale)) - 1;
    const int right = static_cast<int>(std::ceil((part.x + part.width) * view.scale)) + 1;
    const int bottom = static_cast<int>(std::ceil((part.y + part.height) * view.scale)) + 1;
    const Rect moved{view.target.x + left, view.target.y + top, right - left, bottom - top};
    return intersection(moved, view.target);
}

Point to_picture(const View& view, Size picture, Point in_window) {
    const double x = (in_window.x - view.target.x) / view.scale;
    const double y = (in_window.y - view.target.y) / view.scale;
    const int last_x = std::max(0, picture.width - 1);
    const int last_y = std::max(0, picture.height - 1);
    return Point{std::clamp(static_cast<int>(std::floor(x)), 0, last_x),
                 std::clamp(static_cast<int>(std::floor(y)), 0, last_y)};
}

}  // namespace understudy::viewer
