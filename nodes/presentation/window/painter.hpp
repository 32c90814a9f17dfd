// Draws the session's picture into the window. The last complete picture is kept in the X server, so that
// the window can be redrawn, dimmed and written over without anybody's help. Owned by the window's thread.
#pragma once

#include <X11/Xft/Xft.h>
#include <X11/Xlib.h>
#include <X11/extensions/XShm.h>
#include <X11/extensions/Xrender.h>

#include <memory>
#include <string>

#include "nodes/presentation/window/viewer_names.hpp"
#include "viewer/link_types.hpp"

namespace understudy::window {

class Painter {
public:
    /// The display and the window must outlive the painter.
    /// Errors: `unavailable` when the desktop's X server lacks RENDER or doesn't show 32-bit pixels.
    [[nodiscard]] static Result<std::unique_ptr<Painter>> create(Display* display, Window window);
    Painter(const Painter&) = delete;
    Painter& operator=(const Painter&) = delete;
    ~Painter();

    /// Size of the kept picture; zero before the first.
    [[nodiscard]] Size picture_size() const { return picture_size_; }
    /// Takes changed parts over into the kept picture. Draws nothing.
    void keep(const PictureChange& change);
    /// The picture's memory is not needed any more (its link has gone).
    void release_source();

    /// A line to show over the dimmed picture; empty: the picture is live.
    void set_notice(std::string text) { notice_ = std::move(text); }
    [[nodiscard]] const std::string& notice() const { return notice_; }

    /// Redraws the whole window.
    void draw(const View& view, Size window);
    /// Redraws what belongs to changed parts of the picture; only while there is no notice.
    void draw_parts(const View& view, Size window, const std::vector<Rect>& parts);

private:
    Painter(Display* display, Window window);
    [[nodiscard]] bool attach(const std::shared_ptr<Picture>& picture);
    void adopt_size(Size size);
    void fill_around(Drawable target, const View& view, Size window);
    void paint_picture(Drawable target, ::Picture target_picture, const View& view, const Rect& window_part);
    void write_notice(Drawable target, ::Picture target_picture, Size window);

    Display* const display_;
    const Window window_;
    Visual* visual_ = nullptr;
    int depth_ = 0;
    XRenderPictFormat* format_ = nullptr;
    GC gc_ = nullptr;
    XftFont* font_ = nullptr;
    ::Picture window_picture_ = None;

    Pixmap kept_ = None;
    ::Picture kept_picture_ = None;
    Size picture_size_;
    std::string notice_;

    std::shared_ptr<Picture> source_;  ///< whose memory the X server has attached
    XShmSegmentInfo segment_{};
    XImage* image_ = nullptr;
    bool is_shared_ = false;
};

}  // namespace understudy::window
