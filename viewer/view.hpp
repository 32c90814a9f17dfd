// Where the session's picture lies in the window, and which point of it the pointer is on. Pure; any thread.
#pragma once

namespace understudy::viewer {

struct Rect {
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
    bool operator==(const Rect&) const = default;
    [[nodiscard]] bool empty() const { return width <= 0 || height <= 0; }
};

/// The part both have; empty when they don't touch.
[[nodiscard]] Rect intersection(const Rect& a, const Rect& b);

struct Point {
    int x = 0;
    int y = 0;
    bool operator==(const Point&) const = default;
};

/// What to do with a picture that doesn't have the size of the window.
enum class Fit {
    follow,  ///< the session is expected to take the window's size in a moment: pixel for pixel from the corner
    shrink,  ///< it will not: in the middle, made smaller when it is bigger than the window
    fill,    ///< in the middle, made smaller or bigger so that it fills the window as far as its shape allows
};

/// `target`: where the whole picture goes, in window pixels.
struct View {
    Rect target;
    double scale = 1.0;  ///< window pixels per picture pixel
    bool operator==(const View&) const = default;
    [[nodiscard]] bool is_exact() const { return scale == 1.0; }
};

struct Size {
    int width = 0;
    int height = 0;
    bool operator==(const Size&) const = default;
};

[[nodiscard]] View make_view(Size picture, Size window, Fit fit);

/// The window's pixels touched by a changed part of the picture (one pixel more when scaled, for smoothing).
[[nodiscard]] Rect to_window(const View& view, const Rect& picture_part);

/// The picture's point under a point of the window, clamped to the picture.
[[nodiscard]] Point to_picture(const View& view, Size picture, Point in_window);

}  // namespace understudy::viewer
