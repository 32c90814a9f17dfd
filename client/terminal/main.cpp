// understudy-terminal: the native terminal.
#include <SDL.h>

#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/version.hpp"
#include "client/command/exit_codes.hpp"
#include "client/terminal/options.hpp"
#include "client/terminal/program.hpp"

namespace {

using namespace understudy;
using namespace understudy::terminal;

constexpr int kExitNoScreen = 20;

constexpr const char* kFooter =
    "Options may also stand in the table [terminal] of the configuration file, with _ for -; the name of the terminal\n"
    "is \"name\" there, and appearance = \"window\", \"full-screen\" or \"kiosk\". See config/terminal.toml.\n"
    "\n"
    "Keys that are not sent to the desktop: Ctrl+Alt+Return changes between window and full screen, Ctrl+Alt+Shift+Q\n"
    "leaves. A kiosk has neither unless they are given, and all other keys go to the desktop.\n"
    "\n"
    "Exit codes: 0 left by the person or ended by SIGTERM, SIGINT or SIGHUP; 2 wrong options or configuration;\n"
    "20 no display; 1 the display went away. With --give-up: 3 no manager, or it does not know our key; 5 there is no such terminal;\n"
    "6 refused, such as in use at another place or without the right; 7 no desktop in time.";

int complain(const Error& error, int exit_code) {
    std::cerr << "understudy-terminal: " << error.message << "\n";
    return exit_code;
}

void set_hints(const Options& options) {
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");  // signals come through the wake-up
    SDL_SetHint(SDL_HINT_APP_NAME, "Understudy");
    SDL_SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL_SetHint(SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    if (options.appearance == Appearance::kiosk) SDL_SetHint(SDL_HINT_ALLOW_ALT_TAB_WHILE_GRABBED, "0");
}

int show(const Options& options) {
    Wakeup::block_signals();
    set_hints(options);
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        const char* display = std::getenv("DISPLAY");
        std::cerr << "understudy-terminal: there is no display (DISPLAY is " << (display == nullptr ? "not set" : display)
                  << "): " << SDL_GetError() << "; start it inside a graphical session, or from config/systemd\n";
        return kExitNoScreen;
    }
    int exit_code = kExitNoScreen;
    if (auto program = Program::open(options)) exit_code = (*program)->run();
    else complain(program.error(), exit_code);
    SDL_Quit();
    return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A terminal: shows the desktop that the manager keeps for it, and follows it from machine to machine."};
    app.set_version_flag("--version", std::string("understudy-terminal ") + understudy::kRelease);
    app.footer(kFooter);
    Given given;
    bool check = false;
    app.add_option("--terminal", given.terminal, "the terminal's name")->type_name("NAME");
    app.add_option("--config", given.config, "configuration file (default: as for understudy)")->type_name("FILE");
    app.add_flag("--full-screen", given.full_screen, "fill the screen");
    app.add_flag("--kiosk", given.kiosk, "for thin clients: fill the screen, give all keys to the desktop, never end by itself");
    app.add_option("--size", given.size, "of the window; default 1280x800")->type_name("WxH");
    app.add_option("--resize", given.resize, "when the window's size changes: desktop (default) asks the desktop to follow, scale scales its picture");
    app.add_option("--scale", given.scale, "window pixels per desktop pixel: auto (default), or 0.5 to 4");
    app.add_option("--clipboard", given.clipboard, "both (default) or none");
    app.add_option("--font", given.font, "of the line of text; default: the system's sans serif")->type_name("FILE");
    app.add_option("--full-screen-keys", given.full_screen_keys, "change between window and full screen")->type_name("KEYS");
    app.add_option("--leave-keys", given.leave_keys, "end the terminal, such as Ctrl+Alt+F12, or none")->type_name("KEYS");
    app.add_option("--give-up", given.give_up, "end when there is no picture after so many seconds; default: wait for ever")->type_name("SECONDS");
    app.add_flag("--check", check, "read options and configuration, say what is wrong with them, and end");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? client::kExitDone : client::kExitUsage;
    }
    spdlog::set_default_logger(spdlog::stderr_logger_st("understudy-terminal"));
    spdlog::set_pattern("%H:%M:%S.%e %l: %v");
    const auto options = read_options(given);
    if (!options) return complain(options.error(), client::kExitUsage);
    if (check) return client::kExitDone;
    return show(*options);
}
