// The native terminal on a real X server, by its pixels: a manager and desktops that the test plays, keys and pointer
// as the X server gets them. Waiting is for events, never for time to pass.
#include <catch2/catch.hpp>  // before Xlib, whose macros would break it

#include <X11/Xlib.h>

#include <csignal>
#include <fstream>
#include <set>
#include <sstream>

#include "fake_manager.hpp"
#include "program.hpp"
#include "tests/presentation/recording_session.hpp"
#include "tests/presentation/rig.hpp"

using namespace understudy;
using namespace understudy::test;
using rig::Door;
using rig::RecordingSession;
using rig::XServer;
using namespace std::chrono_literals;

namespace {

constexpr int kWidth = 400;
constexpr int kHeight = 300;
constexpr std::uint32_t kRed = 0xC03020;
constexpr std::uint32_t kBlue = 0x2040C0;
constexpr std::uint32_t kGround = 0x10161B;  // of a window without a picture
constexpr std::uint32_t kNotice = 0xFDF0D5;

/// One thin client: a screen without a window manager, and understudy-terminal as a kiosk on it.
struct Stage {
    FakeManager manager;
    TemporaryFolder folder;
    XServer screen;
    std::optional<TerminalRedirect> redirect;
    std::string connection;  ///< of the terminal, as the manager knows it
    std::vector<TerminalAttach> asked;
    std::vector<TerminalSeen> seen;
    std::unique_ptr<rig::Process> terminal;

    explicit Stage(int width = kWidth, int height = kHeight) : screen(width, height) {
        manager.on_message = [this](const Heard& heard) {
            if (const auto* attach = std::get_if<TerminalAttach>(&heard.message)) {
                connection = heard.from;
                asked.push_back(*attach);
                if (redirect) manager.send(connection, *redirect);
            }
            if (const auto* what = std::get_if<TerminalSeen>(&heard.message)) seen.push_back(*what);
            return true;
        };
    }

    void start(std::vector<std::string> options = {"--kiosk"}) {
        const std::string configuration = folder.write("client.toml", manager.configuration_text());
        std::vector<std::string> command{TERMINAL_PROGRAM, "--terminal", "demo", "--config", configuration};
        command.insert(command.end(), options.begin(), options.end());
        terminal = std::make_unique<rig::Process>(command, screen.name());
    }

    bool until(const std::function<bool()>& done, std::chrono::milliseconds timeout = 10s) { return manager.pump_until(done, timeout); }

    /// Keys and pointer go where the pointer is: there is no window manager.
    void xdotool(std::vector<std::string> words) {
        words.insert(words.begin(), "xdotool");
        rig::run(words, screen.name());
    }

    void lead_to(Epoch epoch, const Door& door) {
        redirect = TerminalRedirect{TerminalId(7), epoch, {"127.0.0.1", static_cast<std::uint16_t>(door.port()), door.key()},
                                    {{}, "ticket-" + std::to_string(epoch)}, IncidentId(epoch * 10)};
        if (!connection.empty()) manager.send(connection, *redirect);
    }

    bool was_seen(const std::string& what, Epoch epoch) const {
        return std::any_of(seen.begin(), seen.end(), [&](const TerminalSeen& one) {
            return one.what == what && one.epoch == epoch && one.incident == IncidentId(epoch * 10);
        });
    }

    [[nodiscard]] std::set<std::uint32_t> colours() const {
        const auto [width, height] = screen.size();
        const auto pixels = screen.pixels(0, 0, width, height);
        return {pixels.begin(), pixels.end()};
    }
    /// Every pixel has this colour: a live picture of one colour, and no line over it.
    bool shows_only(std::uint32_t colour) {
        return until([&] { return colours() == std::set{colour}; });
    }
    /// The corner is darker than it was live, and there is more than that: the line.
    bool shows_dimmed(std::uint32_t colour) {
        return until([&] {
            const std::uint32_t corner = screen.pixel(0, 0);
            for (const int shift : {0, 8, 16}) {
                if ((corner >> shift & 255) > (colour >> shift & 255) * 3 / 4 + 1) return false;
            }
            return corner != 0 && corner != kGround && colours().size() > 5;
        });
    }
};

/// How many pixels of the screen differ from the desktop's. As a number, because a failed comparison prints both sides.
std::size_t differing(const XServer& screen, const XServer& session) {
    const auto shown = screen.pixels(0, 0, kWidth, kHeight);
    const auto wanted = session.pixels(0, 0, kWidth, kHeight);
    std::size_t count = 0;
    for (std::size_t i = 0; i < shown.size(); ++i) count += shown[i] != wanted[i] ? 1 : 0;
    return count;
}

/// A desktop behind a door.
struct Desktop {
    RecordingSession session{kWidth, kHeight};
    Door door{session.rfb_socket()};

    bool is_visited(Stage& stage, int times = 1) {
        return stage.until([&] { return session.connections() >= times; });
    }
    /// Red, live and alone on the stage's screen.
    void open_on(Stage& stage, Epoch epoch = 1) {
        stage.lead_to(epoch, door);
        stage.start();
        REQUIRE(is_visited(stage));
        session.show_all(kRed);
        REQUIRE(stage.shows_only(kRed));
    }
};

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("terminal: the desktop fills the screen, pixel for pixel, and the manager hears of it") {
    Stage stage;
    XServer session(kWidth, kHeight);
    for (int i = 0; i < 200; ++i) session.paint_rectangle(0x123457u * static_cast<unsigned>(i + 1) & 0xFFFFFFu, i * 2, i, 31, 47);
    Door door(session.rfb_socket());
    stage.lead_to(3, door);
    stage.start();
    CHECK(stage.until([&] { return differing(stage.screen, session) == 0; }));
    CHECK(stage.until([&] { return stage.was_seen("connected", 3) && stage.was_seen("picture", 3); }));
    CHECK(door.lines() == std::vector<std::string>{"UNDERSTUDY/1 desktop ticket-3"});
    CHECK(stage.asked.front() == TerminalAttach{"demo", kWidth, kHeight, 0});
    session.paint_rectangle(kBlue, 100, 100, 50, 50);
    CHECK(stage.until([&] { return stage.screen.pixel(149, 149) == kBlue; }));
    CHECK(stage.until([&] { return differing(stage.screen, session) == 0; }));
}

TEST_CASE("terminal: a move keeps the last picture, dimmed and explained, and shows the next one at once and whole") {
    Stage stage;
    Desktop first;
    Desktop second;
    first.open_on(stage);
    stage.lead_to(2, second.door);
    REQUIRE(second.is_visited(stage));
    second.session.show(kBlue, 0, kHeight / 2);
    CHECK(stage.shows_dimmed(kRed));
    CHECK_FALSE(stage.colours().contains(kBlue));
    second.session.show(kBlue, kHeight / 2, kHeight);
    CHECK(stage.shows_only(kBlue));
    CHECK(stage.until([&] { return stage.was_seen("picture", 2); }));
}

TEST_CASE("terminal: an older redirect is refused, whatever happened in between") {
    Stage stage;
    Desktop older;
    Desktop newer;
    newer.open_on(stage, 5);
    stage.lead_to(4, older.door);
    stage.lead_to(6, newer.door);
    REQUIRE(newer.is_visited(stage, 2));
    CHECK(older.session.connections() == 0);
}

TEST_CASE("terminal: a door that breaks is tried again by itself, and a refused ticket is replaced") {
    Stage stage;
    Desktop desktop;
    desktop.open_on(stage);
    stage.redirect.reset();
    desktop.door.refuse_with("ticket has expired");
    desktop.door.cut();
    CHECK(stage.shows_dimmed(kRed));
    CHECK(stage.until([&] { return stage.was_seen("lost", 1); }));
    desktop.door.refuse_with("");
    stage.lead_to(1, desktop.door);
    REQUIRE(desktop.is_visited(stage, 2));
    desktop.session.show_all(kBlue);
    CHECK(stage.shows_only(kBlue));
}

TEST_CASE("terminal: keys arrive as what they mean, in a kiosk also those that window managers like to take") {
    Stage stage;
    Desktop desktop;
    desktop.open_on(stage);
    stage.xdotool({"mousemove", "50", "60", "type", "--delay", "30", "aB!"});
    stage.xdotool({"key", "--delay", "30", "Return", "F5", "Left", "KP_Enter", "ctrl+c", "alt+F4", "ctrl+alt+Return", "ctrl+shift+q"});
    for (const char* entry : {"down 61", "up 61", "down 42", "down 21", "down ff0d", "down ffc2", "down ff51", "down ff8d", "down ffe3",
                              "down 63", "down ffe9", "down ffc1", "up ffc1"}) {
        CAPTURE(entry);
        CHECK(stage.until([&] { return desktop.session.has_recorded(entry); }));
    }
    CHECK(stage.terminal->is_running());
    stage.xdotool({"click", "1", "click", "5"});
    CHECK(stage.until([&] { return desktop.session.has_recorded("pointer 50 60 1") && desktop.session.has_recorded("pointer 50 60 16"); }));
    CHECK(stage.until([&] { return desktop.session.record().back() == "pointer 50 60 0"; }));
}

TEST_CASE("terminal: text outside ASCII reaches an application on the desktop") {
    Stage stage;
    XServer session(kWidth, kHeight);
    const std::string file = stage.folder.path("typed");
    rig::Process xterm({"xterm", "-maximized", "-e", "sh", "-c", "IFS= read -r line; printf %s \"$line\" > " + file + "; sleep 60"}, session.name());
    Door door(session.rfb_socket());
    stage.lead_to(1, door);
    stage.start();
    REQUIRE(stage.until([&] { return stage.was_seen("picture", 1); }));
    stage.xdotool({"mousemove", "200", "150"});
    REQUIRE(stage.until([&] { return stage.screen.pixel(300, 250) == 0xFFFFFF; }));
    const std::string text = "Hello, World & {x} = \"42\"; ~$ Grüße €";
    stage.xdotool({"type", "--delay", "30", text});
    stage.xdotool({"key", "Return"});
    CHECK(stage.until([&] { return text_of(file) == text; }));
}

TEST_CASE("terminal: what is copied on one side is pasted on the other, in Unicode") {
    Stage stage;
    XServer session(kWidth, kHeight);
    Door door(session.rfb_socket());
    stage.lead_to(1, door);
    stage.start();
    REQUIRE(stage.until([&] { return stage.was_seen("picture", 1); }));
    stage.xdotool({"mousemove", "10", "10"});
    const std::string there = "Grüße → 你好";
    const std::string here = "naïve ☃ line\nsecond";
    std::ofstream(stage.folder.path("there")) << there;
    std::ofstream(stage.folder.path("here")) << here;
    rig::run({"xclip", "-selection", "clipboard", stage.folder.path("there")}, session.name());
    CHECK(stage.until([&] { return rig::output_of({"xclip", "-selection", "clipboard", "-o"}, stage.screen.name()) == there; }));
    rig::run({"xclip", "-selection", "clipboard", stage.folder.path("here")}, stage.screen.name());
    CHECK(stage.until([&] { return rig::output_of({"xclip", "-selection", "clipboard", "-o"}, session.name()) == here; }));
}

TEST_CASE("terminal: the desktop takes the window's size, and where it may not its picture is scaled") {
    const bool follows = GENERATE(true, false);
    Stage stage(800, 600);
    XServer session(kWidth, kHeight, follows ? std::vector<std::string>{} : std::vector<std::string>{"-AcceptSetDesktopSize=0"});
    session.paint(kRed);
    session.paint_rectangle(kBlue, 0, 0, kWidth / 2, kHeight / 2);
    Door door(session.rfb_socket());
    stage.lead_to(1, door);
    stage.start();
    if (follows) {
        CHECK(stage.until([&] { return session.size() == std::pair{800, 600}; }));
        session.paint_rectangle(kBlue, 700, 500, 100, 100);  // pixel for pixel: it is where it was painted
        CHECK(stage.until([&] { return stage.screen.pixel(699, 499) == kRed && stage.screen.pixel(700, 500) == kBlue; }));
        CHECK(stage.screen.pixel(799, 599) == kBlue);
    } else {
        // Twice as large: the quarter is a quarter still.
        CHECK(stage.until([&] { return stage.screen.pixel(390, 290) == kBlue && stage.screen.pixel(410, 310) == kRed; }));
        CHECK(stage.screen.pixel(790, 590) == kRed);
        CHECK(session.size() == std::pair{kWidth, kHeight});
    }
}

TEST_CASE("terminal: a window's new size is a new wish, and full screen is a key away") {
    Stage stage(900, 700);
    const auto window_manager = rig::start_window_manager(stage.screen);
    XServer session(kWidth, kHeight);
    Door door(session.rfb_socket());
    stage.lead_to(1, door);
    stage.start({"--size", "500x350"});
    CHECK(stage.until([&] { return session.size() == std::pair{500, 350}; }));
    std::string window;
    REQUIRE(stage.until([&] { return !(window = rig::output_of({"xdotool", "search", "--name", "^demo "}, stage.screen.name())).empty(); }));
    window.erase(window.find('\n'));
    stage.xdotool({"windowsize", window, "640", "420"});
    CHECK(stage.until([&] { return session.size() == std::pair{640, 420}; }));
    stage.xdotool({"windowactivate", "--sync", window, "key", "--clearmodifiers", "ctrl+alt+Return"});
    CHECK(stage.until([&] { return session.size() == std::pair{900, 700}; }));
    stage.xdotool({"key", "--clearmodifiers", "ctrl+alt+shift+q"});
    CHECK(stage.until([&] { return !stage.terminal->is_running(); }));
    CHECK(stage.terminal->wait() == 0);
}

TEST_CASE("terminal: the death of the manager cuts nobody's picture, and a kiosk waits for one that is not there yet") {
    Stage stage;
    Desktop desktop;
    stage.manager.vanish();
    stage.lead_to(1, desktop.door);
    stage.start();
    REQUIRE(stage.until([&] { return stage.screen.pixel(0, 0) == kGround && stage.colours().size() > 5; }));
    stage.manager.resume();
    REQUIRE(desktop.is_visited(stage));
    desktop.session.show_all(kRed);
    REQUIRE(stage.shows_only(kRed));
    stage.manager.vanish();
    stage.xdotool({"mousemove", "50", "60", "key", "x"});
    CHECK(stage.until([&] { return desktop.session.has_recorded("down 78"); }));
    desktop.session.show_all(kBlue);
    CHECK(stage.shows_only(kBlue));
    stage.manager.resume();
}

TEST_CASE("terminal: a desktop that was opened elsewhere is left, and comes back when the person wants it") {
    Stage stage;
    Desktop desktop;
    desktop.open_on(stage);
    const std::size_t before = stage.asked.size();
    stage.manager.send(stage.connection, TerminalTaken{TerminalId(7), "this desktop was opened at another place"});
    CHECK(stage.shows_dimmed(kRed));
    CHECK(stage.asked.size() == before);
    CHECK(desktop.session.connections() == 1);
    stage.xdotool({"mousemove", "50", "60", "key", "Return"});
    REQUIRE(desktop.is_visited(stage, 2));
    CHECK(stage.asked.size() == before + 1);
    desktop.session.show_all(kBlue);
    CHECK(stage.shows_only(kBlue));
    CHECK_FALSE(desktop.session.has_recorded("down ff0d"));
}

TEST_CASE("terminal: what an administrator says is shown over the live picture") {
    Stage stage;
    Desktop desktop;
    desktop.open_on(stage);
    stage.manager.send(stage.connection, TerminalNotice{TerminalId(8), "for somebody else"});
    stage.manager.send(stage.connection, TerminalNotice{TerminalId(7), "Maintenance at noon."});
    CHECK(stage.until([&] { return stage.colours().contains(kNotice); }));
    CHECK(stage.screen.pixel(0, 0) == kRed);
}

TEST_CASE("terminal: signals and closing the window end it in order; a kiosk is not closed") {
    const bool kiosk = GENERATE(true, false);
    Stage stage(900, 700);
    const auto window_manager = rig::start_window_manager(stage.screen);
    Desktop desktop;
    stage.lead_to(1, desktop.door);
    stage.start(kiosk ? std::vector<std::string>{"--kiosk"} : std::vector<std::string>{});
    REQUIRE(desktop.is_visited(stage));
    desktop.session.show_all(kRed);
    REQUIRE(stage.until([&] { return stage.was_seen("picture", 1); }));
    bool goodbye = false;
    stage.manager.on_message = [&](const Heard& heard) { return std::holds_alternative<TerminalDetach>(heard.message) && (goodbye = true); };
    std::string window = rig::output_of({"xdotool", "search", "--name", "^demo "}, stage.screen.name());
    window.erase(window.find('\n'));
    XEvent wish{};
    wish.xclient.type = ClientMessage;
    wish.xclient.window = std::stoul(window);
    wish.xclient.message_type = XInternAtom(stage.screen.display(), "WM_PROTOCOLS", False);
    wish.xclient.format = 32;
    wish.xclient.data.l[0] = static_cast<long>(XInternAtom(stage.screen.display(), "WM_DELETE_WINDOW", False));
    XSendEvent(stage.screen.display(), wish.xclient.window, False, NoEventMask, &wish);
    XSync(stage.screen.display(), False);
    if (kiosk) {
        // Something that comes later is handled, and it still runs.
        desktop.session.show_all(kBlue);
        REQUIRE(stage.until([&] { return stage.screen.pixel(450, 350) == kBlue; }));
        REQUIRE(stage.terminal->is_running());
        stage.terminal->signal(SIGTERM);
    }
    CHECK(stage.until([&] { return goodbye && !stage.terminal->is_running(); }));
    CHECK(stage.terminal->wait() == 0);
}

TEST_CASE("terminal: each way not to get a desktop has an exit code, when giving up was asked for") {
    Stage stage;
    struct Case {
        std::optional<Message> answer;
        int exit_code;
    };
    const auto code = [](ErrorCode error) { return static_cast<std::uint32_t>(error); };
    for (const auto& [answer, exit_code] :
         {Case{TerminalRefused{code(ErrorCode::not_found), "there is no terminal named 'demo'"}, 5},
          Case{TerminalRefused{code(ErrorCode::refused), "in use at another place"}, 6},
          Case{TerminalWaiting{TerminalId(7), "no machine is free", 60000}, 7}}) {
        CAPTURE(exit_code);
        stage.manager.on_message = [&stage, &answer = answer](const Heard& heard) {
            if (std::holds_alternative<TerminalAttach>(heard.message)) stage.manager.send(heard.from, *answer);
            return true;
        };
        stage.start({"--give-up", "1"});
        REQUIRE(stage.until([&] { return !stage.terminal->is_running(); }));
        CHECK(stage.terminal->wait() == exit_code);
    }
    stage.manager.admit_only({});
    stage.start({"--give-up", "1"});
    REQUIRE(stage.until([&] { return !stage.terminal->is_running(); }));
    CHECK(stage.terminal->wait() == 3);
}

TEST_CASE("terminal: wrong options and a missing display are told before anything is opened") {
    FakeManager manager;
    TemporaryFolder folder;
    const std::string configuration = folder.write("client.toml", manager.configuration_text());
    const auto ended = [&](std::vector<std::string> options) {
        options.insert(options.begin(), {"/usr/bin/env", "-u", "DISPLAY", "-u", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER=x11", TERMINAL_PROGRAM});
        test::Program program(options);
        REQUIRE(manager.pump_until([&] { return program.ended(); }));
        return std::pair{program.exit_code(), program.problems()};
    };
    const auto [wrong, wrong_text] = ended({"--terminal", "demo", "--config", configuration, "--resize", "stretch"});
    CHECK(wrong == 2);
    CHECK_THAT(wrong_text, Catch::Contains("--resize must be desktop or scale"));
    const auto [nameless, nameless_text] = ended({"--config", configuration});
    CHECK(nameless == 2);
    CHECK_THAT(nameless_text, Catch::Contains("--terminal NAME"));
    const auto [dark, dark_text] = ended({"--terminal", "demo", "--config", configuration});
    CHECK(dark == 20);
    CHECK_THAT(dark_text, Catch::Contains("DISPLAY is not set"));
    CHECK(ended({"--terminal", "demo", "--config", configuration, "--check"}).first == 0);
}
