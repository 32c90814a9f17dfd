// The X window itself: making it, its names, icon, pointer shapes, and where it is on the desktop.
// Owned by the window's thread.
#pragma once

#include <X11/Xlib.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nodes/presentation/window/commands.hpp"
#include "viewer/link_types.hpp"

namespace understudy::window {

struct WindowOptions {
    SessionId session;
    std::string title;
    std::string app_name;
    Size size;
    std::optional<Point> corner;  ///< outer; none: the window manager chooses
};

class DesktopWindow {
public:
    /// Connects to the X server named by DISPLAY and makes the window (not yet mapped).
    /// Errors: `unavailable` when there is no X server.
    [[nodiscard]] static Result<std::unique_ptr<DesktopWindow>> open(const WindowOptions& options);
    DesktopWindow(const DesktopWindow&) = delete;
    DesktopWindow& operator=(const DesktopWindow&) = delete;
    ~DesktopWindow();

    [[nodiscard]] Display* display() const { return display_; }
    [[nodiscard]] Window id() const { return window_; }
    [[nodiscard]] Atom atom(const char* name) const;

    void map();
    void set_title(const std::string& title);
    /// Errors: `invalid` for what is not a PNG of at most 256 x 256.
    [[nodiscard]] Result<> set_icon(const std::vector<std::uint8_t>& png);
    void place(const Place& place);
    /// Where the window is now; asks the X server.
    [[nodiscard]] Place current_place() const;

    void use_shape(const PointerShape& shape);
    void use_default_shape();
    void use_waiting_shape();

    /// True when the message is the window manager's wish to close the window. Pings are answered.
    [[nodiscard]] bool is_close_wish(const XClientMessageEvent& message);

private:
    DesktopWindow() = default;
    void set_properties(const WindowOptions& options);
    void use_cursor(Cursor cursor);

    Display* display_ = nullptr;
    Window window_ = None;
    Cursor shape_ = None;
    Atom wm_protocols_ = None;
    Atom wm_delete_ = None;
    Atom net_ping_ = None;
};

}  // namespace understudy::window
