// What window managers agree on (EWMH 1.3 and ICCCM), as functions. Used by the layout watcher's thread.
#pragma once

#include <X11/Xlib.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace understudy::layout {

/// Atoms, looked up once per connection.
struct Atoms {
    explicit Atoms(Display* display);
    Atom session;
    Atom manager_check;
    Atom client_list_stacking;
    Atom active_window;
    Atom frame_extents;
    Atom wm_state_list;
    Atom maximized_horizontally;
    Atom maximized_vertically;
    Atom hidden;
    Atom moveresize;
    Atom restack;
    Atom change_state;
};

/// Values of a 32-bit property; empty when it is missing or of another kind.
[[nodiscard]] std::vector<unsigned long> read_longs(Display* display, Window window, Atom property);
/// Text of an 8-bit property.
[[nodiscard]] std::optional<std::string> read_text(Display* display, Window window, Atom property);

struct OuterPlace {
    int x = 0;  ///< outer corner of the frame
    int y = 0;
    int width = 0;  ///< inside the frame
    int height = 0;
};
/// None when the window is gone.
[[nodiscard]] std::optional<OuterPlace> read_place(Display* display, Window window, const Atoms& atoms);

// Requests to the window manager, in a pager's name.
void ask_place(Display* display, Window window, const Atoms& atoms, const OuterPlace& place);
void ask_maximize(Display* display, Window window, const Atoms& atoms);
void ask_unmaximize(Display* display, Window window, const Atoms& atoms);
void ask_minimize(Display* display, Window window, const Atoms& atoms);
void ask_unminimize(Display* display, Window window, const Atoms& atoms);
void ask_focus(Display* display, Window window, const Atoms& atoms);
/// Above all others of its layer.
void ask_raise(Display* display, Window window, const Atoms& atoms);

}  // namespace understudy::layout
