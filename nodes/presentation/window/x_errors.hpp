// X errors arrive late and end the program by default. Here: what another client did to a window is
// survived, and a single request can be tried. Xlib's handlers are process-wide; one X thread, set up once.
#pragma once

#include <X11/Xlib.h>

#include <string>

namespace understudy::window {

/// From now on X errors are ignored, and the loss of the X server calls `gone`, which must not return.
void install_x_error_handlers(void (*gone)());

/// Watches for errors of the requests made during its life.
class XErrorTrap {
public:
    explicit XErrorTrap(Display* display);
    XErrorTrap(const XErrorTrap&) = delete;
    XErrorTrap& operator=(const XErrorTrap&) = delete;
    /// Waits for the server and tells whether a request failed so far.
    [[nodiscard]] bool failed();

private:
    Display* display_;
    unsigned long before_;
};

}  // namespace understudy::window
