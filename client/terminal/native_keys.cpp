// See native_keys.hpp. Apart from everything else because of Xlib's macros.
#include "client/terminal/native_keys.hpp"

#include <SDL_syswm.h>

#include <SDL_events.h>
#include <X11/Xutil.h>

namespace understudy::terminal {

std::uint32_t native_keysym(const SDL_Event& event) {
    const SDL_SysWMmsg* message = event.syswm.msg;
    if (message == nullptr || message->subsystem != SDL_SYSWM_X11 || message->msg.x11.event.type != KeyPress) return 0;
    XKeyEvent key = message->msg.x11.event.xkey;
    char text[16];
    KeySym keysym = NoSymbol;
    XLookupString(&key, text, sizeof text, &keysym, nullptr);
    return static_cast<std::uint32_t>(keysym);
}

}  // namespace understudy::terminal
