// How the terminal shall behave: from the configuration file and the command line. Plain values; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "client/link/configuration.hpp"
#include "client/terminal/shortcut.hpp"
#include "viewer/source.hpp"
#include "viewer/view.hpp"

namespace understudy::terminal {

/// What happens when the window and the desktop have different sizes.
enum class Resize {
    desktop,  ///< the desktop is asked to take the window's size; the picture is scaled where it does not
    scale,    ///< the desktop stays as it is, the picture is scaled
};

enum class Appearance {
    window,
    full_screen,
    kiosk,  ///< full screen, all keys go to the desktop, and nothing but the leave keys leads out
};

enum class Clipboard {
    both,  ///< what is copied on one side can be pasted on the other
    none,
};

struct Options {
    std::string terminal;  ///< its name
    Appearance appearance = Appearance::window;
    viewer::Size window_size{1280, 800};
    Resize resize = Resize::desktop;
    double scale = 0;  ///< window pixels per desktop pixel; 0: as the screen is used by others
    Clipboard clipboard = Clipboard::both;
    std::string font_file;  ///< of the one line of text; empty: the system's sans serif
    Shortcut full_screen_keys;
    Shortcut leave_keys;
    std::chrono::seconds give_up{0};  ///< end when there has been no picture after so long; 0: wait for ever
    client::Configuration configuration;
};

/// What the command line says; everything left out is taken from the file.
struct Given {
    std::string config;
    std::optional<std::string> terminal;
    bool full_screen = false;
    bool kiosk = false;
    std::optional<std::string> size;
    std::optional<std::string> resize;
    std::optional<std::string> scale;
    std::optional<std::string> clipboard;
    std::optional<std::string> font;
    std::optional<std::string> full_screen_keys;
    std::optional<std::string> leave_keys;
    std::optional<std::string> give_up;
};

/// Errors: `invalid`, `not_found`; each names the option and where it was given, and what it can be.
[[nodiscard]] Result<Options> read_options(const Given& given);

/// The same with a file that is read already.
[[nodiscard]] Result<Options> merge_options(const Given& given, const client::OptionFile& file);

}  // namespace understudy::terminal
