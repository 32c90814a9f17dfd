// understudy-window: one application window on the desktop of a presentation node. See README.md here.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <unistd.h>

#include "base/text.hpp"
#include "base/version.hpp"
#include "nodes/presentation/window/program.hpp"
#include "nodes/presentation/window/x_errors.hpp"

namespace {

using namespace understudy;
using namespace understudy::window;

constexpr int kExitOptions = 2;
constexpr int kExitDesktop = 3;

void say_failed(const std::string& reason) {
    const std::string line = EventLine("failed").add("reason", reason).str();
    (void)!write(STDOUT_FILENO, line.data(), line.size());
}

void desktop_gone() {
    say_failed("the desktop's X server went away");
    _exit(kExitDesktop);
}

/// WxH or WxH+X+Y (X, Y may be negative: +-5).
bool parse_geometry(const std::string& text, WindowOptions& options) {
    int width = 0;
    int height = 0;
    int x = 0;
    int y = 0;
    char rest = 0;
    const int fields = std::sscanf(text.c_str(), "%5dx%5d+%6d+%6d%c", &width, &height, &x, &y, &rest);
    const bool has_size = width >= 1 && height >= 1 && width <= kMaxSidePixels && height <= kMaxSidePixels;
    if (!has_size || (fields != 2 && fields != 4)) return false;
    options.size = Size{width, height};
    if (fields == 4) options.corner = Point{x, y};
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    ProgramOptions options;
    options.window.title = "Application";
    options.window.app_name = "understudy-window";
    std::string geometry = "800x600";
    std::string mode = "active";
    options.encodings = "copyrect,zrle,hextile,raw";

    CLI::App app("One application window on the desktop of a presentation node; driven by JSON lines, see README.md");
    app.set_version_flag("--version", std::string("understudy-window ") + understudy::kRelease);
    std::uint64_t session = 0;
    app.add_option("--session", session, "number of the session")->required()->check(CLI::PositiveNumber);
    app.add_option("--title", options.window.title, "first title");
    app.add_option("--app-name", options.window.app_name, "WM_CLASS");
    app.add_option("--geometry", geometry, "WxH or WxH+X+Y; X, Y of the frame's outer corner");
    app.add_option("--mode", mode, "active or standby");
    app.add_option("--encodings", options.encodings, "RFB encodings, the preferred first");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        return status == 0 ? 0 : kExitOptions;
    }
    options.window.session = SessionId(session);
    const auto parsed_mode = parse_mode(mode);
    if (!parsed_mode || !parse_geometry(geometry, options.window)) {
        std::cerr << "understudy-window: --geometry must be WxH or WxH+X+Y, --mode active or standby\n";
        return kExitOptions;
    }
    options.mode = *parsed_mode;
    options.window.title = first_characters(options.window.title, kMaxTextCharacters);
    std::replace(options.encodings.begin(), options.encodings.end(), ',', ' ');

    std::signal(SIGPIPE, SIG_IGN);
    install_x_error_handlers(desktop_gone);
    auto program = Program::create(options);
    if (!program) {
        say_failed(program.error().message);
        std::cerr << "understudy-window: " << program.error().message << "\n";
        return kExitDesktop;
    }
    (*program)->run();
    return 0;
}
