// Properties and client messages of the window manager protocols. The layout watcher's thread.
#include "nodes/presentation/layout/ewmh.hpp"

#include <X11/Xatom.h>
#include <X11/Xutil.h>

#include <cstring>

namespace understudy::layout {
namespace {

constexpr long kFromPager = 2;  // obeyed without asking whether the person wants it
constexpr long kRemoveState = 0;
constexpr long kAddState = 1;
constexpr long kMaxPropertyWords = 65536;

void tell_root(Display* display, Window window, Atom type, const std::array<long, 5>& data) {
    XEvent event{};
    event.xclient.type = ClientMessage;
    event.xclient.window = window;
    event.xclient.message_type = type;
    event.xclient.format = 32;
    std::memcpy(event.xclient.data.l, data.data(), sizeof event.xclient.data.l);
    XSendEvent(display, DefaultRootWindow(display), False, SubstructureNotifyMask | SubstructureRedirectMask, &event);
}

void ask_maximized(Display* display, Window window, const Atoms& atoms, long what) {
    tell_root(display, window, atoms.wm_state_list,
              {what, static_cast<long>(atoms.maximized_horizontally), static_cast<long>(atoms.maximized_vertically),
               kFromPager, 0});
}

}  // namespace

Atoms::Atoms(Display* display)
    : session(XInternAtom(display, "_UNDERSTUDY_SESSION", False)),
      manager_check(XInternAtom(display, "_NET_SUPPORTING_WM_CHECK", False)),
      client_list_stacking(XInternAtom(display, "_NET_CLIENT_LIST_STACKING", False)),
      active_window(XInternAtom(display, "_NET_ACTIVE_WINDOW", False)),
      frame_extents(XInternAtom(display, "_NET_FRAME_EXTENTS", False)),
      wm_state_list(XInternAtom(display, "_NET_WM_STATE", False)),
      maximized_horizontally(XInternAtom(display, "_NET_WM_STATE_MAXIMIZED_HORZ", False)),
      maximized_vertically(XInternAtom(display, "_NET_WM_STATE_MAXIMIZED_VERT", False)),
      hidden(XInternAtom(display, "_NET_WM_STATE_HIDDEN", False)),
      moveresize(XInternAtom(display, "_NET_MOVERESIZE_WINDOW", False)),
      restack(XInternAtom(display, "_NET_RESTACK_WINDOW", False)),
      change_state(XInternAtom(display, "WM_CHANGE_STATE", False)) {}

std::vector<unsigned long> read_longs(Display* display, Window window, Atom property) {
    Atom type = None;
    int format = 0;
    unsigned long count = 0;
    unsigned long left = 0;
    unsigned char* data = nullptr;
    const int status = XGetWindowProperty(display, window, property, 0, kMaxPropertyWords, False, AnyPropertyType,
                                          &type, &format, &count, &left, &data);
    std::vector<unsigned long> values;
    if (status == Success && format == 32) {
        values.resize(count);
        if (count > 0) std::memcpy(values.data(), data, count * sizeof(unsigned long));
    }
    if (data != nullptr) XFree(data);
    return values;
}

std::optional<std::string> read_text(Display* display, Window window, Atom property) {
    Atom type = None;
    int format = 0;
    unsigned long count = 0;
    unsigned long left = 0;
    unsigned char* data = nullptr;
    const int status = XGetWindowProperty(display, window, property, 0, 64, False, XA_STRING, &type, &format, &count,
                                          &left, &data);
    std::optional<std::string> text;
    if (status == Success && type == XA_STRING && format == 8) {
        text.emplace(reinterpret_cast<const char*>(data), count);
    }
    if (data != nullptr) XFree(data);
    return text;
}

std::optional<OuterPlace> read_place(Display* display, Window window, const Atoms& atoms) {
    XWindowAttributes attributes{};
    if (XGetWindowAttributes(display, window, &attributes) == 0) return std::nullopt;
    int x = 0;
    int y = 0;
    Window child = None;
    if (XTranslateCoordinates(display, window, DefaultRootWindow(display), 0, 0, &x, &y, &child) == 0) {
        return std::nullopt;
    }
    const auto extents = read_longs(display, window, atoms.frame_extents);  // left, right, top, bottom
    const int left = extents.size() == 4 ? static_cast<int>(extents[0]) : 0;
    const int top = extents.size() == 4 ? static_cast<int>(extents[2]) : 0;
    return OuterPlace{x - left, y - top, attributes.width, attributes.height};
}

void ask_place(Display* display, Window window, const Atoms& atoms, const OuterPlace& place) {
    // Bits 8 to 11: x, y, width and height are given; the gravity makes x and y the frame's corner.
    const long flags = NorthWestGravity | 0xFL << 8 | kFromPager << 12;
    tell_root(display, window, atoms.moveresize, {flags, place.x, place.y, place.width, place.height});
}

void ask_maximize(Display* display, Window window, const Atoms& atoms) {
    ask_maximized(display, window, atoms, kAddState);
}

void ask_unmaximize(Display* display, Window window, const Atoms& atoms) {
    ask_maximized(display, window, atoms, kRemoveState);
}

void ask_minimize(Display* display, Window window, const Atoms& atoms) {
    tell_root(display, window, atoms.change_state, {IconicState, 0, 0, 0, 0});
}

void ask_unminimize(Display* display, Window window, const Atoms& atoms) {
    tell_root(display, window, atoms.change_state, {NormalState, 0, 0, 0, 0});
}

void ask_focus(Display* display, Window window, const Atoms& atoms) {
    tell_root(display, window, atoms.active_window, {kFromPager, CurrentTime, 0, 0, 0});
}

void ask_raise(Display* display, Window window, const Atoms& atoms) {
    tell_root(display, window, atoms.restack, {kFromPager, 0, Above, 0, 0});
}

}  // namespace understudy::layout
