// The process-wide Xlib handlers. Used by the window's thread.
#include "nodes/presentation/window/x_errors.hpp"

#include <cstdlib>

namespace understudy::window {
namespace {

// Xlib's handlers get no user data; these two are what the interface forces on us.
unsigned long error_count = 0;
void (*server_gone)() = nullptr;

int count_error(Display*, XErrorEvent*) {
    ++error_count;
    return 0;
}

int handle_loss(Display*) {
    if (server_gone != nullptr) server_gone();
    std::_Exit(3);
}

}  // namespace

void install_x_error_handlers(void (*gone)()) {
    server_gone = gone;
    XSetErrorHandler(count_error);
    XSetIOErrorHandler(handle_loss);
}

XErrorTrap::XErrorTrap(Display* display) : display_(display), before_(0) {
    XSync(display_, False);
    before_ = error_count;
}

bool XErrorTrap::failed() {
    XSync(display_, False);
    return error_count != before_;
}

}  // namespace understudy::window
