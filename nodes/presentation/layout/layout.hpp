// Where the windows of sessions are on a desktop, and putting them back there on another desktop.
// Sessions' windows are told by their property _UNDERSTUDY_SESSION; other windows are left alone.
// Everything belongs to the thread that opened the watcher.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/result.hpp"

namespace understudy::layout {

/// One window. All lengths in pixels of the desktop.
struct WindowPlace {
    SessionId session;
    int x = 0;  ///< outer corner of the frame, as if the window was not maximized
    int y = 0;
    int width = 0;  ///< of the picture area inside the frame, as if the window was not maximized
    int height = 0;
    int stacking = 0;  ///< 0 is the lowest; counts sessions' windows only
    bool focused = false;
    bool maximized = false;
    bool minimized = false;
    bool operator==(const WindowPlace&) const = default;
};

/// All windows of sessions, the lowest first.
struct DesktopLayout {
    std::vector<WindowPlace> windows;
    bool operator==(const DesktopLayout&) const = default;
};

/// Changes that come close together are reported as one; a change is reported at most this much later.
inline constexpr std::chrono::milliseconds kReportPause{100};
/// How long apply() waits for windows that are not there yet.
inline constexpr std::chrono::milliseconds kApplyLimit{15000};

class LayoutWatcher {
public:
    /// Connects to an X server (":7"). Its window manager may start later. Replaces the process's handler
    /// of X errors (the default one ends the process).
    /// Errors: `unavailable` when there is no such X server.
    [[nodiscard]] static Result<std::unique_ptr<LayoutWatcher>> open(const std::string& display_name);
    LayoutWatcher(const LayoutWatcher&) = delete;
    LayoutWatcher& operator=(const LayoutWatcher&) = delete;
    ~LayoutWatcher();

    /// Readable when poll_events() should be called; valid as long as the watcher lives.
    [[nodiscard]] int fd() const;

    /// Handles what has happened; never waits longer than the X server takes to answer.
    /// Returns the whole layout when it differs from the last one returned. While a layout is being
    /// applied nothing is returned, so that a desktop that is being built up is not taken for the person's wish.
    /// Errors: `unavailable` when the X server is gone; the watcher is then of no use any more.
    [[nodiscard]] Result<std::optional<DesktopLayout>> poll_events();

    /// Does a window manager run that frames and places what is mapped from now on? Asks the X server; whenever the
    /// answer may have changed, fd() is readable.
    [[nodiscard]] bool is_managed() const;

    /// The layout now, whether it changed or not. Errors: as above.
    [[nodiscard]] Result<DesktopLayout> current();

    /// Lays the windows out so: size and place of each, maximized, minimized, stacking, focus. Returns at
    /// once; windows that appear later are placed when they do, for at most kApplyLimit. What a person changes while
    /// nothing but such windows is waited for is left alone until one appears. Sessions not
    /// mentioned are left where they are. A new call replaces the one before.
    void apply(const DesktopLayout& layout);
    /// True from apply() until everything is in its place or kApplyLimit has passed.
    [[nodiscard]] bool is_applying() const;

private:
    class Desktop;
    explicit LayoutWatcher(std::unique_ptr<Desktop> desktop);
    std::unique_ptr<Desktop> desktop_;
};

}  // namespace understudy::layout
