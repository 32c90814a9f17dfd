// Claims about what the native terminal decides without a display: options, keys, wheel, words.
#include <SDL_keyboard.h>
#include <SDL_mouse.h>
#include <X11/keysym.h>

#include <catch2/catch.hpp>

#include "client/terminal/keyboard.hpp"
#include "client/terminal/options.hpp"
#include "client/terminal/pointer.hpp"
#include "client/terminal/shortcut.hpp"
#include "client/terminal/words.hpp"

using namespace understudy;
using namespace understudy::terminal;

namespace {

const std::string kManager =
    "manager = 'tcp://127.0.0.1:7400'\nmanager_key = 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'\n"
    "public_key = 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'\nsecret_key = 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'\n";

Result<Options> options_of(const std::string& table, const Given& given = {}) {
    const auto file = client::OptionFile::parse(kManager + table, "/etc/t.toml");
    REQUIRE(file);
    return merge_options(given, *file);
}

std::string problem_of(const std::string& table, const Given& given = {}) {
    const auto options = options_of(table, given);
    return options ? "" : options.error().message;
}

/// "down 61, up 61"
std::string told(const std::vector<viewer::KeyInput>& keys) {
    std::string text;
    for (const auto& key : keys) {
        char part[32];
        std::snprintf(part, sizeof part, "%s%s %x", text.empty() ? "" : ", ", key.is_down ? "down" : "up", key.keysym);
        text += part;
    }
    return text;
}

}  // namespace

// ------------------------------------------------------------------ options

TEST_CASE("options: the file gives what the command line leaves out, and the command line wins") {
    const std::string table = "[terminal]\nname = 'desk-1'\nappearance = 'full-screen'\nresize = 'scale'\nfont = 'x.ttf'\nscale = '1.5'\n";
    const auto plain = options_of(table);
    REQUIRE(plain);
    CHECK(plain->terminal == "desk-1");
    CHECK(plain->appearance == Appearance::full_screen);
    CHECK(plain->resize == Resize::scale);
    CHECK(plain->font_file == "/etc/x.ttf");
    CHECK(plain->scale == 1.5);
    CHECK(plain->leave_keys == *parse_shortcut("Ctrl+Alt+Shift+Q"));
    Given given;
    given.terminal = "desk-2";
    given.size = "640x480";
    given.resize = "desktop";
    const auto over = options_of(table, given);
    REQUIRE(over);
    CHECK(over->terminal == "desk-2");
    CHECK(over->window_size == viewer::Size{640, 480});
    CHECK(over->resize == Resize::desktop);
}

TEST_CASE("options: nothing leads out of a kiosk unless it was chosen, wherever that is written") {
    const auto kiosk = options_of("[terminal]\nname = 'd'\nappearance = 'kiosk'\n");
    REQUIRE(kiosk);
    CHECK(kiosk->leave_keys == Shortcut{});
    CHECK(kiosk->full_screen_keys == Shortcut{});
    const auto chosen = options_of("[terminal]\nleave_keys = 'Ctrl+Alt+F12'\nname = 'd'\nappearance = 'kiosk'\n");
    REQUIRE(chosen);
    CHECK(chosen->leave_keys == *parse_shortcut("ctrl+ALT+F12"));
}

TEST_CASE("options: what is wrong is named with its place and what it can be") {
    CHECK_THAT(problem_of(""), Catch::Contains("--terminal NAME"));
    CHECK_THAT(problem_of("[terminal]\nname = 'd'\nkisok = 'yes'\n"), Catch::Contains("line 7") && Catch::Contains("terminal.kisok"));
    CHECK_THAT(problem_of("[terminal]\nname = 'd'\nresize = 'stretch'\n"), Catch::Contains("line 7") && Catch::Contains("desktop or scale"));
    CHECK_THAT(problem_of("[terminal]\nname = 'd'\nappearance = 'kiosk'\ngive_up = '5'\n"), Catch::Contains("for ever"));
    CHECK_THAT(problem_of("[terminal]\nname = 'd'\nleave_keys = 'Q'\n"), Catch::Contains("needs Ctrl, Alt or Super"));
    Given given;
    given.terminal = "d";
    given.size = "640";
    CHECK_THAT(problem_of("", given), Catch::StartsWith("--size must be a width and a height"));
    given.size = "640x480";
    given.give_up = "soon";
    CHECK_THAT(problem_of("", given), Catch::StartsWith("--give-up must be a number of seconds"));
}

TEST_CASE("shortcuts: modifiers have to be exactly those, lock keys do not matter") {
    const auto shortcut = parse_shortcut("Ctrl+Alt+Enter");
    REQUIRE(shortcut);
    CHECK(matches(*shortcut, SDL_SCANCODE_RETURN, KMOD_LCTRL | KMOD_RALT | KMOD_NUM | KMOD_CAPS));
    CHECK_FALSE(matches(*shortcut, SDL_SCANCODE_RETURN, KMOD_LCTRL));
    CHECK_FALSE(matches(*shortcut, SDL_SCANCODE_RETURN, KMOD_LCTRL | KMOD_LALT | KMOD_LSHIFT));
    CHECK_FALSE(matches(*shortcut, SDL_SCANCODE_F1, KMOD_LCTRL | KMOD_LALT));
    CHECK_FALSE(matches(Shortcut{}, 0, 0));
    CHECK_THAT(parse_shortcut("Ctrl+Meta+Q").error().message, Catch::Contains("Meta"));
    CHECK_THAT(parse_shortcut("Ctrl+Nothing").error().message, Catch::Contains("name of a key"));
    CHECK(parse_shortcut("none") == Shortcut{});
}

// ------------------------------------------------------------------ keys

TEST_CASE("keyboard: a letter is told as what it wrote, and goes up as what went down") {
    Keyboard keyboard;
    CHECK(keyboard.press({SDL_SCANCODE_A, SDLK_a, 0, 0}).empty());
    CHECK(told(keyboard.text("a")) == "down 61");
    CHECK(told(keyboard.press({SDL_SCANCODE_LSHIFT, SDLK_LSHIFT, 0, 0})) == "down ffe1");
    CHECK(told(keyboard.release(SDL_SCANCODE_A)) == "up 61");
    CHECK(keyboard.press({SDL_SCANCODE_A, SDLK_a, KMOD_LSHIFT, 0}).empty());
    CHECK(told(keyboard.text("A")) == "down 41");
    CHECK(told(keyboard.release(SDL_SCANCODE_LSHIFT)) == "up ffe1");
    CHECK(told(keyboard.release(SDL_SCANCODE_A)) == "up 41");
    CHECK(keyboard.release(SDL_SCANCODE_A).empty());
}

TEST_CASE("keyboard: dead keys and input methods write whole characters") {
    Keyboard keyboard;
    CHECK(keyboard.press({SDL_SCANCODE_EQUALS, SDLK_QUOTE, 0, 0}).empty());  // a dead accent writes nothing
    CHECK(keyboard.release(SDL_SCANCODE_EQUALS).empty());
    CHECK(keyboard.press({SDL_SCANCODE_E, SDLK_e, 0, 0}).empty());
    CHECK(told(keyboard.text("é")) == "down e9");
    CHECK(told(keyboard.release(SDL_SCANCODE_E)) == "up e9");
    CHECK(told(keyboard.text("你好")) == "down 1004f60, up 1004f60, down 100597d, up 100597d");
}

TEST_CASE("keyboard: with Ctrl, Alt or Super a key commands, and its text is not typed as well") {
    Keyboard keyboard;
    CHECK(told(keyboard.press({SDL_SCANCODE_C, SDLK_c, KMOD_LCTRL, 0})) == "down 63");
    CHECK(keyboard.text("c").empty());
    CHECK(told(keyboard.press({SDL_SCANCODE_T, SDLK_t, KMOD_LCTRL | KMOD_LSHIFT, 0})) == "down 54");
    // What the window system says counts: Ctrl and the key beside 0, with Shift, is Ctrl+plus here.
    CHECK(told(keyboard.press({SDL_SCANCODE_MINUS, SDLK_MINUS, KMOD_LCTRL | KMOD_LSHIFT, XK_plus})) == "down 2b");
    CHECK(told(keyboard.release_all()) == "up 2b, up 54, up 63");
}

TEST_CASE("keyboard: the right Alt key is AltGr where the window system says so, and writes") {
    Keyboard keyboard;
    CHECK(told(keyboard.press({SDL_SCANCODE_RALT, SDLK_RALT, 0, XK_ISO_Level3_Shift})) == "down fe03");
    CHECK(keyboard.press({SDL_SCANCODE_E, SDLK_e, KMOD_RALT, XK_EuroSign}).empty());
    CHECK(told(keyboard.text("€")) == "down 10020ac");
    CHECK(told(keyboard.release_all()) == "up 10020ac, up fe03");
}

TEST_CASE("keyboard: keypad, function and movement keys are themselves; lock keys act here") {
    Keyboard keyboard;
    CHECK(told(keyboard.press({SDL_SCANCODE_KP_7, SDLK_KP_7, KMOD_NUM, 0})) == "down ffb7");
    CHECK(keyboard.text("7").empty());
    CHECK(told(keyboard.press({SDL_SCANCODE_KP_8, SDLK_KP_8, 0, 0})) == "down ff97");
    CHECK(told(keyboard.press({SDL_SCANCODE_F24, SDLK_F24, 0, 0})) == "down ffd5");
    CHECK(told(keyboard.press({SDL_SCANCODE_DELETE, SDLK_DELETE, 0, 0})) == "down ffff");
    CHECK(keyboard.press({SDL_SCANCODE_CAPSLOCK, SDLK_CAPSLOCK, 0, 0}).empty());
    keyboard.forget();
    CHECK(keyboard.release_all().empty());
}

TEST_CASE("wheel: parts of a notch are collected, turning back begins anew, and a wild turn is cut") {
    Wheel wheel;
    CHECK(wheel.turn(0, 0.5F).empty());
    CHECK(wheel.turn(0, 0.5F) == std::vector<unsigned>{4});
    CHECK(wheel.turn(0, 0.9F).empty());
    CHECK(wheel.turn(0, -1.0F) == std::vector<unsigned>{5});
    CHECK(wheel.turn(2.0F, 0) == std::vector<unsigned>{7, 7});
    CHECK(wheel.turn(-1.0F, 0) == std::vector<unsigned>{6});
    CHECK(wheel.turn(0, 1e9F).size() == static_cast<std::size_t>(Wheel::kMostClicks));
    CHECK(desktop_button(SDL_BUTTON_X1) == 8);
    CHECK(desktop_button(200) == 0);
}

// ------------------------------------------------------------------ words

TEST_CASE("words: the most telling reason is told, and whether somebody has to act") {
    Known known;
    CHECK(line_for(known).text == "Getting your desktop ready…");
    known.link_problem = "no manager answers at tcp://x:1";
    CHECK(line_for(known).text == "Waiting for the manager: no manager answers at tcp://x:1");
    CHECK_FALSE(line_for(known).needs_somebody);
    known.pictured = true;
    CHECK(line_for(known).text == "Reconnecting to your desktop…");
    known.moving = true;
    CHECK(line_for(known).text == "Your desktop is moving to another machine…");
    known.waiting = "no machine is free";
    CHECK(line_for(known).text == "Your desktop will be back as soon as possible: no machine is free");
    known.refused = "there is no terminal named 'x'";
    CHECK(line_for(known).text == "This terminal cannot be served: there is no terminal named 'x'");
    CHECK(line_for(known).needs_somebody);
    known.denied = true;
    known.link_problem = "enter this key";
    CHECK(line_for(known).text == "This terminal may not connect: enter this key");
    known.elsewhere = true;
    CHECK_THAT(line_for(known).text, Catch::Contains("Press Enter"));
}
