// understudy-window on a real desktop: an X server with openbox, sessions on X servers of their own, a door
// in between, and eyes on the pixels.
#include <catch2/catch.hpp>  // before Xlib, whose macros would break it

#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <X11/extensions/Xfixes.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/presentation/recording_session.hpp"
#include "tests/presentation/rig.hpp"

using namespace rig;
using nlohmann::json;

namespace {

constexpr std::uint32_t kRed = 0xC03020;
constexpr std::uint32_t kGreen = 0x20A040;
constexpr std::uint32_t kWhite = 0xFFFFFF;

/// A desktop with a window manager and one window of 400x300 picture pixels.
struct Stage {
    XServer desktop{900, 700};
    std::unique_ptr<Process> window_manager = start_window_manager(desktop);
    WindowProcess window;

    explicit Stage(std::vector<std::string> more_options = {}) : window(desktop, options(std::move(more_options))) {
        const bool is_shown = eventually([&] {
            XWindowAttributes attributes{};
            return XGetWindowAttributes(desktop.display(), window.id(), &attributes) != 0 &&
                   attributes.map_state == IsViewable && window.origin() != std::pair{100, 80};
        });
        INFO(output_of({"xprop", "-id", std::to_string(window.id())}, desktop.name()));
        REQUIRE(is_shown);
    }

    static std::vector<std::string> options(std::vector<std::string> more) {
        std::vector<std::string> all{"--session", "42", "--title", "Accounts", "--geometry", "400x300+100+80"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    /// The colour in the middle of the picture, or at an offset into it.
    [[nodiscard]] std::uint32_t colour_at(int x, int y) const {
        const auto [left, top] = window.origin();
        return desktop.pixel(left + x, top + y);
    }
    [[nodiscard]] std::uint32_t colour() const { return colour_at(20, 20); }
    void xdotool(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "xdotool");
        run(std::move(arguments), desktop.name());
    }
    /// Puts keys on the keyboard that it lacks. xdotool would do it for the moment of the stroke alone, and a program that
    /// looks the stroke up later than that finds no key.
    void add_keys(const std::vector<std::string>& keysyms) const {
        int keycode = 255;
        for (const std::string& keysym : keysyms) run({"xmodmap", "-e", "keycode " + std::to_string(keycode--) + " = " + keysym}, desktop.name());
    }
    void take_focus() const {
        // Asked for, because a window that was there before the window manager is not given it.
        xdotool({"windowactivate", "--sync", std::to_string(window.id())});
        REQUIRE(eventually([&] {
            Window focus = None;
            int revert = 0;
            XGetInputFocus(desktop.display(), &focus, &revert);
            return focus == window.id();
        }));
    }
    void wait_for_colour(std::uint32_t wanted) const {
        REQUIRE(eventually([&] { return colour() == wanted; }));
    }
};

std::string text_of_file(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

/// Fills the screen with noise, so that a pixel in the wrong place can't go unnoticed.
void paint_noise(const XServer& session, unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 3000; ++i) {
        session.paint_rectangle(random() & 0xFFFFFFU, static_cast<int>(random() % 400), static_cast<int>(random() % 300),
                                1 + static_cast<int>(random() % 40), 1 + static_cast<int>(random() % 30));
    }
}

/// True when the window has exactly the session's pixels.
bool shows(const Stage& stage, const XServer& session, int width, int height) {
    const auto [x, y] = stage.window.origin();
    return stage.desktop.pixels(x, y, width, height) == session.pixels(0, 0, width, height);
}

}  // namespace

TEST_CASE("window: the session's picture is on the desktop, pixel for pixel, whatever the encoding") {
    const std::string encodings = GENERATE("raw", "copyrect,hextile,raw", "copyrect,zrle,raw", "copyrect,tight,raw");
    CAPTURE(encodings);
    Stage stage({"--encodings", encodings});
    XServer session(400, 300);
    paint_noise(session, 7);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    const json picture = stage.window.wait_event("picture");
    CHECK(picture.at("epoch") == 1);
    CHECK(picture.at("width") == 400);
    CHECK(picture.at("height") == 300);
    CHECK(shows(stage, session, 400, 300));
    paint_noise(session, 8);
    session.paint_rectangle(kWhite, 399, 299, 1, 1);
    CHECK(eventually([&] { return shows(stage, session, 400, 300); }));
    CHECK(door.lines() == std::vector<std::string>{"UNDERSTUDY/1 window dGlja2V0"});
}

TEST_CASE("window: what is typed reaches the session's application, letters outside ASCII too") {
    Stage stage;
    XServer session(400, 300);
    Folder folder;
    const std::string file = folder.path("typed");
    Process terminal({"xterm", "-maximized", "-e", "sh", "-c", "IFS= read -r line; printf %s \"$line\" > " + file + "; sleep 60"},
                     session.name());
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    stage.take_focus();
    // No window manager in the session: the pointer decides who gets the keys.
    const auto [x, y] = stage.window.origin();
    stage.xdotool({"mousemove", std::to_string(x + 100), std::to_string(y + 100)});
    REQUIRE(eventually([&] { return output_of({"xdotool", "search", "--class", "xterm"}, session.name()) != ""; }));
    stage.wait_for_colour(kWhite);
    const std::string text = "Hello, World & {x} = \"42\"; ~$ Grüße";
    stage.add_keys({"udiaeresis", "ssharp"});
    stage.xdotool({"type", "--delay", "20", text});
    stage.xdotool({"key", "Return"});
    REQUIRE(eventually([&] { return text_of_file(file) == text; }));
}

TEST_CASE("window: another source takes over without the window flickering") {
    Stage stage;
    RecordingSession first(400, 300);
    RecordingSession second(400, 300);
    Door first_door(first.rfb_socket());
    Door second_door(second.rfb_socket());
    stage.window.connect_to(first_door, 1);
    stage.window.wait_event("connected");
    first.show_all(kRed);
    CHECK(stage.window.wait_event("picture").at("epoch") == 1);
    CHECK(stage.colour() == kRed);
    const Window before = stage.window.id();

    stage.window.connect_to(second_door, 2);
    stage.window.wait_event("connected");
    second.show(kGreen, 0, 299);  // all but the last row
    // The second session is heard (it asks for updates again after the first part), and nothing of it is shown.
    bool has_flickered = false;
    (void)eventually(
        [&] {
            has_flickered = has_flickered || stage.colour() != kRed;
            return false;
        },
        milliseconds{300});
    CHECK_FALSE(has_flickered);
    CHECK_FALSE(stage.window.has_event("picture"));
    second.show(kGreen, 299, 300);
    CHECK(stage.window.wait_event("picture").at("epoch") == 2);
    CHECK(stage.colour() == kGreen);
    CHECK(stage.window.id() == before);
}

TEST_CASE("window: a source older than one accepted is refused") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 5);
    stage.window.wait_event("connected");
    stage.window.connect_to(door, 4);
    CHECK_THAT(stage.window.wait_event("error").at("message").get<std::string>(), Catch::Contains("epoch 4"));
    session.show_all(kRed);
    CHECK(stage.window.wait_event("picture").at("epoch") == 5);
}

TEST_CASE("window: waiting dims the last picture, says why, and takes no input") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("connected");
    session.show_all(kWhite);
    stage.window.wait_event("picture");
    stage.window.command({{"do", "waiting"}, {"text", "Moving to another computer"}});
    REQUIRE(eventually([&] { return stage.colour() != kWhite; }));
    const std::uint32_t dimmed = stage.colour() & 0xFFU;
    CHECK(dimmed > 0x40);
    CHECK(dimmed < 0xA0);
    // Light letters in the dark panel in the middle.
    const auto [x, y] = stage.window.origin();
    REQUIRE(eventually([&] {
        const auto middle = stage.desktop.pixels(x + 100, y + 140, 200, 20);
        const auto light = std::count_if(middle.begin(), middle.end(), [](auto c) { return (c & 0xFFU) > 0xC0; });
        const auto dark = std::count_if(middle.begin(), middle.end(), [](auto c) { return (c & 0xFFU) < 0x40; });
        return light > 50 && dark > 1000;
    }));
    const std::size_t recorded = session.record().size();
    stage.take_focus();
    stage.xdotool({"key", "a"});
    // The next picture shows that the commands before it were handled.
    stage.window.connect_to(door, 2);
    stage.window.wait_event("connected");
    session.show_all(kGreen);
    stage.window.wait_event("picture");
    CHECK(stage.colour() == kGreen);
    const auto record = session.record();
    CHECK(std::none_of(record.begin() + static_cast<std::ptrdiff_t>(recorded), record.end(),
                       [](const std::string& entry) { return entry.starts_with("down"); }));
}

TEST_CASE("window: a standby shows the picture and sends nothing; made active, it sends") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1, "standby");
    stage.window.wait_event("connected");
    session.show_all(kRed);
    stage.window.wait_event("picture");
    stage.take_focus();
    const auto [x, y] = stage.window.origin();
    stage.xdotool({"mousemove", std::to_string(x + 30), std::to_string(y + 40), "click", "1"});
    stage.xdotool({"key", "a"});
    stage.window.command({{"do", "place"}, {"x", 100}, {"y", 80}, {"width", 420}, {"height", 310}});
    REQUIRE(eventually([&] { return stage.window.size() == std::pair{420, 310}; }));
    stage.window.command({{"do", "place"}, {"x", 100}, {"y", 80}, {"width", 400}, {"height", 300}});
    REQUIRE(eventually([&] { return stage.window.size() == std::pair{400, 300}; }));
    session.show_all(kGreen);
    stage.wait_for_colour(kGreen);
    CHECK(session.record().empty());

    stage.window.command({{"do", "mode"}, {"mode", "active"}});
    REQUIRE(eventually([&] {
        stage.xdotool({"key", "a"});
        return session.has_recorded("down 61") && session.has_recorded("up 61");
    }));
}

TEST_CASE("window: keysyms are exact, buttons and wheel arrive where they belong") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("connected");
    session.show_all(kRed);
    stage.window.wait_event("picture");
    stage.take_focus();
    stage.add_keys({"udiaeresis"});
    stage.xdotool({"key", "ctrl+shift+F5", "KP_5", "ISO_Level3_Shift", "udiaeresis", "Multi_key"});
    for (const char* entry : {"down ffe3", "down ffe1", "down ffc2", "up ffc2", "up ffe1", "up ffe3", "down ffb5",
                              "down fe03", "down fc", "down ff20"}) {
        CAPTURE(entry);
        CHECK(eventually([&] { return session.has_recorded(entry); }));
    }
    const auto [x, y] = stage.window.origin();
    stage.xdotool({"mousemove", std::to_string(x + 30), std::to_string(y + 40), "click", "3", "click", "4"});
    for (const char* entry : {"pointer 30 40 0", "pointer 30 40 4", "pointer 30 40 8"}) {
        CAPTURE(entry);
        CHECK(eventually([&] { return session.has_recorded(entry); }));
    }
}

TEST_CASE("window: keys that are down when the focus goes are let go of") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("connected");
    session.show_all(kRed);
    stage.window.wait_event("picture");
    stage.take_focus();
    stage.xdotool({"keydown", "Shift_L"});
    REQUIRE(eventually([&] { return session.has_recorded("down ffe1"); }));
    CHECK_FALSE(session.has_recorded("up ffe1"));
    XSetInputFocus(stage.desktop.display(), DefaultRootWindow(stage.desktop.display()), RevertToNone, CurrentTime);
    XSync(stage.desktop.display(), False);
    CHECK(eventually([&] { return session.has_recorded("up ffe1"); }));
    stage.xdotool({"keyup", "Shift_L"});
}

TEST_CASE("window: a short break of the connection is mended unseen, and what was typed in it arrives") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("connected");
    session.show_all(kRed);
    stage.window.wait_event("picture");
    stage.take_focus();
    door.refuse_with("the session is being saved");
    door.cut();
    stage.window.wait_event("disconnected");
    CHECK(stage.window.wait_event("refused").at("reason") == "the session is being saved");
    stage.xdotool({"key", "q"});
    CHECK(stage.colour() == kRed);
    CHECK_FALSE(session.has_recorded("down 71"));
    door.refuse_with("");
    stage.window.wait_event("connected");
    session.show_all(kGreen);
    stage.window.wait_event("picture");
    CHECK(stage.colour() == kGreen);
    CHECK(eventually([&] { return session.has_recorded("down 71") && session.has_recorded("up 71"); }));
    CHECK(session.connections() == 2);
}

TEST_CASE("window: a longer break is shown, and ends when the session is back") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("connected");
    session.show_all(kWhite);
    stage.window.wait_event("picture");
    door.refuse_with("no such session here");
    door.cut();
    stage.window.wait_event("disconnected");
    REQUIRE(eventually([&] { return (stage.colour() & 0xFFU) < 0xA0; }));
    CHECK((stage.colour() & 0xFFU) > 0x40);
    door.refuse_with("");
    stage.window.wait_event("connected");
    session.show_all(kWhite);
    stage.window.wait_event("picture");
    CHECK(stage.colour() == kWhite);
}

TEST_CASE("window: a session that is quiet is not dimmed, as long as nobody asks anything of it") {
    Stage stage;
    XServer session(400, 300);
    session.paint(kGreen);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    stage.wait_for_colour(kGreen);
    session.process().signal(SIGSTOP);
    CHECK_FALSE(eventually([&] { return stage.window.has_event("silent"); }, milliseconds{8000}));
    CHECK(stage.colour() == kGreen);
    session.process().signal(SIGCONT);
}

TEST_CASE("window: a session that does not answer a person is told, and so is its coming back") {
    Stage stage;
    XServer session(400, 300);
    session.paint(kGreen);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    session.process().signal(SIGSTOP);
    const auto [x, y] = stage.window.origin();
    stage.xdotool({"mousemove", std::to_string(x + 50), std::to_string(y + 50), "click", "1"});
    CHECK(stage.window.wait_event("silent", milliseconds{12000}).at("epoch") == 1);
    CHECK(eventually([&] { return stage.colour() != kGreen; }));
    session.process().signal(SIGCONT);
    stage.window.wait_event("answering");
    stage.wait_for_colour(kGreen);
}

TEST_CASE("window: the clipboard goes both ways, in UTF-8") {
    Stage stage;
    XServer session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    stage.take_focus();
    Folder folder;
    const std::string to_session = "vom Schreibtisch: 10 € für Jürgen\nzweite Zeile";
    const std::string to_desktop = "aus der Sitzung: ¡ñandú! → 漢字";
    std::ofstream(folder.path("a")) << to_session;
    std::ofstream(folder.path("b")) << to_desktop;
    for (const char* selection : {"clipboard", "primary"}) {
        CAPTURE(selection);
        Process owner({"xclip", "-quiet", "-selection", selection, "-in", folder.path("a")}, stage.desktop.name());
        CHECK(eventually([&] { return output_of({"xclip", "-selection", "clipboard", "-out"}, session.name()) == to_session; }));
        Process session_owner({"xclip", "-quiet", "-selection", selection, "-in", folder.path("b")}, session.name());
        CHECK(eventually([&] { return output_of({"xclip", "-selection", "clipboard", "-out"}, stage.desktop.name()) == to_desktop; }));
        CHECK(output_of({"xclip", "-selection", "primary", "-out"}, stage.desktop.name()) == to_desktop);
    }
}

TEST_CASE("window: a big text from the desktop arrives whole") {
    Stage stage;
    XServer session(400, 300, {"-MaxCutText", "2000000"});
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    stage.take_focus();
    std::string text;
    for (int i = 0; text.size() < 900000; ++i) text += std::to_string(i) + " ";
    Folder folder;
    std::ofstream(folder.path("a")) << text;
    Process owner({"xclip", "-quiet", "-selection", "clipboard", "-in", folder.path("a")}, stage.desktop.name());
    std::string arrived;
    CHECK(eventually([&] {
        arrived = output_of({"xclip", "-selection", "clipboard", "-out"}, session.name());
        return arrived.size() == text.size();
    }));
    CHECK((arrived == text));
}

TEST_CASE("window: the session takes the window's size, so that the picture stays pixel for pixel") {
    Stage stage;
    XServer session(640, 480);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    CHECK(eventually([&] { return session.size() == std::pair{400, 300}; }));
    stage.window.command({{"do", "place"}, {"x", 20}, {"y", 30}, {"width", 517}, {"height", 391}});
    REQUIRE(eventually([&] { return session.size() == std::pair{517, 391}; }));
    paint_noise(session, 3);
    REQUIRE(eventually([&] { return stage.window.size() == std::pair{517, 391} && shows(stage, session, 517, 391); }));
}

TEST_CASE("window: a session that keeps its size is shown smaller, and the pointer still hits") {
    Stage stage;
    XServer session(800, 600, {"-AcceptSetDesktopSize=0"});
    session.paint(kRed);
    session.paint_rectangle(kGreen, 400, 300, 400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    REQUIRE(eventually([&] { return stage.colour_at(300, 220) == kGreen; }));
    CHECK(stage.colour_at(100, 75) == kRed);
    CHECK(stage.colour_at(198, 148) == kRed);
    CHECK(stage.colour_at(203, 153) == kGreen);
    CHECK(session.size() == std::pair{800, 600});
    const auto [x, y] = stage.window.origin();
    stage.xdotool({"mousemove", std::to_string(x + 300), std::to_string(y + 200)});
    CHECK(eventually([&] {
        return output_of({"xdotool", "getmouselocation"}, session.name()).starts_with("x:600 y:400");
    }));
}

TEST_CASE("window: a session that changes its size by itself is followed") {
    Stage stage;
    XServer session(400, 300);
    session.paint(kRed);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    run({"xrandr", "--size", "800x600"}, session.name());
    session.paint(kRed);
    session.paint_rectangle(kGreen, 400, 300, 400, 300);
    CHECK(eventually([&] { return stage.colour_at(300, 220) == kGreen && stage.colour_at(100, 75) == kRed; }));
    CHECK(stage.window.size() == std::pair{400, 300});
}

TEST_CASE("window: the pointer has the shape the session gives it") {
    Stage stage;
    XServer session(400, 300);
    Door door(session.rfb_socket());
    stage.window.connect_to(door, 1);
    stage.window.wait_event("picture");
    const auto [x, y] = stage.window.origin();
    stage.xdotool({"mousemove", std::to_string(x + 50), std::to_string(y + 50)});
    // An 8x8 shape with its hot spot at 3, 5, all black.
    const char bits[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const Window root = DefaultRootWindow(session.display());
    const Pixmap pixmap = XCreateBitmapFromData(session.display(), root, bits, 8, 8);
    XColor black{};
    const Cursor cursor = XCreatePixmapCursor(session.display(), pixmap, pixmap, &black, &black, 3, 5);
    XDefineCursor(session.display(), root, cursor);
    XSync(session.display(), False);
    CHECK(eventually([&] {
        XFixesCursorImage* const image = XFixesGetCursorImage(stage.desktop.display());
        const bool is_ours = image != nullptr && image->xhot == 3 && image->yhot == 5;
        if (image != nullptr) XFree(image);
        return is_ours;
    }));
}

TEST_CASE("window: a door that refuses is reported once per reason, in its own words") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    door.refuse_with("ticket has expired");
    stage.window.connect_to(door, 1);
    CHECK(stage.window.wait_event("refused").at("reason") == "ticket has expired");
    REQUIRE(eventually([&] { return door.lines().size() >= 4; }));
    CHECK_FALSE(stage.window.has_event("refused"));
    door.refuse_with("wrong node");
    CHECK(stage.window.wait_event("refused").at("reason") == "wrong node");
    door.refuse_with("");
    stage.window.wait_event("connected");
}

TEST_CASE("window: nonsense on standard input is answered and changes nothing") {
    Stage stage;
    stage.window.raw_command("{\"do\":");
    stage.window.wait_event("error");
    stage.window.raw_command("{\"do\":\"explode\"}");
    CHECK_THAT(stage.window.wait_event("error").at("message").get<std::string>(), Catch::Contains("explode"));
    stage.window.command({{"do", "icon"}, {"png_base64", "AAAA"}});
    CHECK_THAT(stage.window.wait_event("error").at("message").get<std::string>(), Catch::Contains("PNG"));
    CHECK(stage.window.process().is_running());
}

TEST_CASE("window: the wish to close it is reported and not followed; close ends it") {
    Stage stage;
    XEvent wish{};
    wish.xclient.type = ClientMessage;
    wish.xclient.window = stage.window.id();
    wish.xclient.message_type = XInternAtom(stage.desktop.display(), "WM_PROTOCOLS", False);
    wish.xclient.format = 32;
    wish.xclient.data.l[0] = static_cast<long>(XInternAtom(stage.desktop.display(), "WM_DELETE_WINDOW", False));
    XSendEvent(stage.desktop.display(), stage.window.id(), False, NoEventMask, &wish);
    XFlush(stage.desktop.display());
    stage.window.wait_event("closed_by_user");
    CHECK(stage.window.process().is_running());
    stage.window.command({{"do", "close"}});
    CHECK(stage.window.process().wait() == 0);
}

TEST_CASE("window: the end of standard input ends it, also while it is connecting") {
    Stage stage;
    RecordingSession session(400, 300);
    Door door(session.rfb_socket());
    door.refuse_with("later");
    stage.window.connect_to(door, 1);
    stage.window.wait_event("refused");
    stage.window.process().close_input();
    CHECK(stage.window.process().wait() == 0);
}

TEST_CASE("window: the death of the desktop's X server is its end, with a last word") {
    XServer desktop(500, 400);
    WindowProcess window(desktop, {"--session", "1"});
    desktop.kill();
    window.wait_event("failed");
    CHECK(window.process().wait() == 3);
}

TEST_CASE("window: title, class, session and icon are the application's") {
    Stage stage({"--app-name", "geany"});
    Display* const display = stage.desktop.display();
    const std::string properties = output_of({"xprop", "-id", std::to_string(stage.window.id())}, stage.desktop.name());
    CHECK_THAT(properties, Catch::Contains("WM_CLASS(STRING) = \"geany\", \"geany\""));
    CHECK_THAT(properties, Catch::Contains("_UNDERSTUDY_SESSION(STRING) = \"42\""));
    stage.window.command({{"do", "title"}, {"text", "März – Übersicht"}});
    CHECK(eventually([&] {
        return output_of({"xdotool", "getwindowname", std::to_string(stage.window.id())}, stage.desktop.name()) ==
               "März – Übersicht\n";
    }));
    // 1x1, red, opaque.
    stage.window.command({{"do", "icon"},
                          {"png_base64", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="}});
    CHECK(eventually([&] {
        Atom type = None;
        int format = 0;
        unsigned long count = 0;
        unsigned long left = 0;
        unsigned char* data = nullptr;
        XGetWindowProperty(display, stage.window.id(), XInternAtom(display, "_NET_WM_ICON", False), 0, 16, False,
                           XA_CARDINAL, &type, &format, &count, &left, &data);
        const auto* values = reinterpret_cast<unsigned long*>(data);
        const bool is_set = count == 3 && values[0] == 1 && values[1] == 1 && (values[2] >> 24U & 0xFFU) == 0xFF;
        if (data != nullptr) XFree(data);
        return is_set;
    }));
}

TEST_CASE("window: it is shown even if a starting window manager loses the first request") {
    XServer desktop(500, 400);
    Display* const display = desktop.display();
    // In the place of a window manager: takes requests, and forgets the first.
    XSelectInput(display, DefaultRootWindow(display), SubstructureRedirectMask);
    XSync(display, False);
    WindowProcess window(desktop, {"--session", "1", "--geometry", "300x200+0+0"});
    int requests = 0;
    CHECK(eventually([&] {
        XEvent event{};
        while (XCheckTypedEvent(display, MapRequest, &event) != 0) ++requests;
        return requests == 2;
    }));
    XMapWindow(display, window.id());
    XSync(display, False);
    // Shown now: nothing more is asked for.
    CHECK_FALSE(eventually([&] {
        XEvent event{};
        while (XCheckTypedEvent(display, MapRequest, &event) != 0) ++requests;
        return requests > 3;
    }, milliseconds{700}));
}

TEST_CASE("window: place means the frame's outer corner, and is reported as it was asked for") {
    Stage stage;
    stage.window.command({{"do", "place"}, {"x", 33}, {"y", 44}, {"width", 350}, {"height", 222}});
    json geometry;
    CHECK(eventually([&] {
        if (!stage.window.has_event("geometry")) return false;
        geometry = stage.window.wait_event("geometry");
        return geometry.at("x") == 33 && geometry.at("y") == 44 && geometry.at("width") == 350 && geometry.at("height") == 222;
    }));
    CHECK(stage.window.size() == std::pair{350, 222});
}
