// What understudy-window decides without a display: commands, clipboard messages, geometry, pressed keys.
#include <zlib.h>

#include <catch2/catch.hpp>

#include "base/text.hpp"
#include "nodes/presentation/window/commands.hpp"
#include "nodes/presentation/window_event.hpp"
#include "viewer/coverage.hpp"
#include "viewer/cut_text.hpp"
#include "viewer/input.hpp"
#include "viewer/view.hpp"

using namespace understudy;
using namespace understudy::window;

namespace {

std::string error_of(const std::string& line) {
    const auto parsed = parse_command(line);
    return parsed ? "" : parsed.error().message;
}

}  // namespace

TEST_CASE("events: what a window says is taken by type, whatever it says") {
    using node::WindowEvent;
    const auto event = node::parse_window_event(R"({"event":"picture","epoch":7,"took_ms":12,"renewal":"r"})");
    REQUIRE(event);
    CHECK(event->kind == WindowEvent::Kind::picture);
    CHECK(event->epoch == 7);
    CHECK(event->took_ms == 12);
    CHECK(event->renewal == "r");
    const auto refused = node::parse_window_event(R"({"event":"refused","void":1,"reason":"used\nFAKE LINE"})");
    REQUIRE(refused);
    CHECK(refused->is_void);
    CHECK(refused->words == "used FAKE LINE");
    for (const std::string& odd : std::initializer_list<std::string>{
             R"({"event":"picture","epoch":"7"})", R"({"event":"picture","epoch":-1})", R"({"event":"picture","epoch":1.5})", R"({"event":"picture","took_ms":[]})",
             R"({"event":"picture","renewal":{}})", R"({"event":"picture","void":"yes"})", R"({"event":"picture","reason":null})", R"({"event":"picture","message":1})"}) {
        const auto taken = node::parse_window_event(odd);
        REQUIRE(taken);
        CHECK(taken->epoch == 0);
        CHECK_FALSE(taken->renewal);
    }
    for (const std::string& nothing : std::initializer_list<std::string>{"", "{", "[]", "1", R"({"event":1})", R"({"event":["picture"]})", R"({"event":"else"})", std::string(100000, '[')}) {
        CHECK_FALSE(node::parse_window_event(nothing));
    }
    CHECK(node::parse_window_event(R"({"event":"error","message":")" + std::string(100000, 'a') + "\"}")->words.size() == node::kWordsBytes);
}

TEST_CASE("commands: connect carries host, port, ticket, epoch and mode") {
    const auto parsed = parse_command(
        R"({"do":"connect","host":"10.0.2.2","port":41001,"key":"k","ticket":"YWJj+/==","epoch":7,"mode":"standby","new":1})");
    REQUIRE(parsed);
    const auto& connect = std::get<ConnectCommand>(*parsed);
    CHECK(connect.source == Source{"10.0.2.2", 41001, "k", "YWJj+/==", 7});
    CHECK(connect.has_mode);
    CHECK(connect.mode == Mode::standby);
}

TEST_CASE("commands: connect without a mode leaves the mode alone, and takes IPv6") {
    const auto parsed = parse_command(R"({"do":"connect","host":"::1","port":1,"key":"k","ticket":"t","epoch":0})");
    REQUIRE(parsed);
    CHECK_FALSE(std::get<ConnectCommand>(*parsed).has_mode);
}

TEST_CASE("commands: what is wrong is named") {
    CHECK_THAT(error_of("not json"), Catch::Contains("one JSON object"));
    CHECK_THAT(error_of("[]"), Catch::Contains("one JSON object"));
    CHECK_THAT(error_of(R"({"do":"dance"})"), Catch::Contains("dance"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"example.org","port":1,"key":"k","ticket":"t","epoch":0})"), Catch::Contains("host"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":0,"key":"k","ticket":"t","epoch":0})"), Catch::Contains("port"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":70000,"key":"k","ticket":"t","epoch":0})"), Catch::Contains("port"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":1,"key":"k","ticket":"a b","epoch":0})"), Catch::Contains("ticket"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":1,"key":"k","ticket":"a\nb","epoch":0})"), Catch::Contains("ticket"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":1,"key":"k","ticket":")" + std::string(901, 'x') + R"(","epoch":0})"),
               Catch::Contains("ticket"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":1,"key":"k","ticket":"t","epoch":-1})"), Catch::Contains("epoch"));
    CHECK_THAT(error_of(R"({"do":"connect","host":"::1","port":1,"key":"k","ticket":"t","epoch":18446744073709551615})"),
               Catch::Contains("epoch"));
    CHECK_THAT(error_of(R"({"do":"mode","mode":"asleep"})"), Catch::Contains("standby"));
    CHECK_THAT(error_of(R"({"do":"place","x":1.5,"y":0,"width":1,"height":1})"), Catch::Contains("\"x\""));
    CHECK_THAT(error_of(R"({"do":"place","x":1,"y":0,"width":0,"height":1})"), Catch::Contains("width"));
    CHECK_THAT(error_of(R"({"do":"waiting"})"), Catch::Contains("text"));
    CHECK_THAT(error_of(std::string(kMaxCommandBytes + 1, ' ')), Catch::Contains("at most"));
    CHECK_FALSE(error_of(std::string(200000, '[')).empty());
}

TEST_CASE("commands: texts are cut between characters and made printable") {
    CHECK(first_characters("aéb", 2) == "aé");
    CHECK(first_characters("a\tb\x1b[0m", 10) == "a b [0m");
    const auto parsed = parse_command(R"({"do":"waiting","text":")" + std::string(500, 'x') + "\"}");
    REQUIRE(parsed);
    CHECK(std::get<WaitingCommand>(*parsed).text.size() == kMaxTextCharacters);
}

TEST_CASE("commands: base64 is taken strictly") {
    CHECK(decode_base64("TWFu").value() == std::vector<std::uint8_t>{'M', 'a', 'n'});
    CHECK(decode_base64("TWE=").value() == std::vector<std::uint8_t>{'M', 'a'});
    CHECK(decode_base64("TQ==").value() == std::vector<std::uint8_t>{'M'});
    for (const char* bad : {"", "TWF", "TW=u", "TWFu TWFu", "====", "TR==", "T===", "TWF-"}) {
        CAPTURE(bad);
        CHECK_FALSE(decode_base64(bad));
    }
}

TEST_CASE("events: a line survives hostile texts and stays below a pipe's atomic size") {
    std::string evil(5000, '"');
    evil += "\xff\xfe\n\x01";
    const std::string line = EventLine("refused").add("epoch", 3).add("reason", evil).add("message", evil).str();
    CHECK(line.size() <= kMaxEventBytes);
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(EventLine("x").add("reason", "a\xff" "b").str() == "{\"event\":\"x\",\"reason\":\"a\xEF\xBF\xBD" "b\"}\n");
}

TEST_CASE("clipboard: text survives the extended form, line ends and all") {
    const std::string text = "Grüße\nzweite Zeile\n€";
    const auto message = clipboard_provide_message(text);
    REQUIRE(message.size() > 12);
    CHECK(message[0] == 6);
    CHECK((message[4] & 0x80U) != 0);  // negative length
    const auto parsed = parse_clipboard_message(std::span(message).subspan(8));
    REQUIRE(parsed);
    CHECK((parsed->flags & clipboard_flag::kProvide) != 0);
    CHECK(parsed->text == text);
}

TEST_CASE("clipboard: a server's capabilities are not mistaken for text") {
    const std::vector<std::uint8_t> body{0x1f, 0, 0, 1, 0, 0, 0, 0};
    const auto parsed = parse_clipboard_message(body);
    REQUIRE(parsed);
    CHECK(parsed->flags == 0x1f000001U);
    CHECK(parsed->text.empty());
}

TEST_CASE("clipboard: damaged and oversized messages are refused") {
    CHECK_FALSE(parse_clipboard_message({}));
    const std::uint32_t flags = clipboard_flag::kProvide | clipboard_flag::kText;
    std::vector<std::uint8_t> body{static_cast<std::uint8_t>(flags >> 24), 0, 0, 1, 'j', 'u', 'n', 'k'};
    CHECK_FALSE(parse_clipboard_message(body));
    // A small message that unpacks into a lot.
    const std::string bomb(64U << 20U, '\0');
    std::vector<std::uint8_t> packed(compressBound(bomb.size()));
    uLongf size = packed.size();
    REQUIRE(compress2(packed.data(), &size, reinterpret_cast<const Bytef*>(bomb.data()), bomb.size(), 9) == Z_OK);
    body.resize(4);
    body.insert(body.end(), packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
    const auto parsed = parse_clipboard_message(body);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::limit);
}

TEST_CASE("clipboard: Latin-1 and UTF-8 are told apart") {
    CHECK(latin1_from_utf8("Grüße €!") == "Gr\xfc\xdf" "e ?!");
    CHECK(utf8_from_latin1("Gr\xfc\xdf" "e") == "Grüße");
    CHECK(latin1_from_utf8("a\xC3") == "a?");
    CHECK(latin1_from_utf8("\xF0\x9F\x98\x80z") == "?z");
}

TEST_CASE("view: a picture that will follow is shown pixel for pixel from the corner") {
    const View view = make_view(Size{800, 600}, Size{700, 500}, Fit::follow);
    CHECK(view == View{Rect{0, 0, 800, 600}, 1.0});
    CHECK(to_picture(view, Size{800, 600}, Point{123, 45}) == Point{123, 45});
}

TEST_CASE("view: a bigger picture is made smaller, a smaller one is put in the middle") {
    const View shrunk = make_view(Size{800, 400}, Size{400, 400}, Fit::shrink);
    CHECK(shrunk == View{Rect{0, 100, 400, 200}, 0.5});
    CHECK(to_picture(shrunk, Size{800, 400}, Point{200, 200}) == Point{400, 200});
    CHECK(to_picture(shrunk, Size{800, 400}, Point{0, 0}) == Point{0, 0});
    CHECK(to_picture(shrunk, Size{800, 400}, Point{399, 399}) == Point{798, 399});
    const View centred = make_view(Size{100, 100}, Size{400, 300}, Fit::shrink);
    CHECK(centred == View{Rect{150, 100, 100, 100}, 1.0});
}

TEST_CASE("view: a picture that fills the window is made bigger as well, and keeps its shape") {
    const View grown = make_view(Size{100, 50}, Size{400, 400}, Fit::fill);
    CHECK(grown == View{Rect{0, 100, 400, 200}, 4.0});
    CHECK(to_picture(grown, Size{100, 50}, Point{399, 299}) == Point{99, 49});
    CHECK(make_view(Size{800, 400}, Size{400, 400}, Fit::fill) == make_view(Size{800, 400}, Size{400, 400}, Fit::shrink));
}

TEST_CASE("view: a changed part of a scaled picture covers every window pixel it can touch") {
    const View view = make_view(Size{1000, 1000}, Size{333, 333}, Fit::shrink);
    const Rect touched = to_window(view, Rect{500, 500, 1, 1});
    CHECK(touched.x <= 166);
    CHECK(touched.x + touched.width >= 167);
    CHECK(intersection(touched, view.target) == touched);
}

TEST_CASE("coverage: a picture is complete when every pixel has arrived, overlaps or not") {
    Coverage coverage;
    coverage.reset(Size{10, 10});
    coverage.add(Rect{0, 0, 10, 6});
    coverage.add(Rect{0, 4, 10, 4});
    CHECK_FALSE(coverage.is_complete());
    coverage.add(Rect{-5, 8, 14, 50});
    CHECK_FALSE(coverage.is_complete());
    coverage.add(Rect{9, 9, 1, 1});
    CHECK_FALSE(coverage.is_complete());
    coverage.add(Rect{9, 8, 1, 1});
    CHECK(coverage.is_complete());
}

TEST_CASE("keyboard: the symbol that went down is the one that goes up") {
    KeyboardState keyboard;
    CHECK(keyboard.press(50, 0xffe1)->keysym == 0xffe1);
    CHECK(keyboard.press(38, 'A')->keysym == 'A');
    CHECK(keyboard.release(50)->keysym == 0xffe1);
    // Shift is up: the same key would now be 'a', but 'A' is what is pressed in the session.
    CHECK(keyboard.press(38, 'a')->keysym == 'A');
    CHECK(keyboard.release(38)->keysym == 'A');
    CHECK_FALSE(keyboard.release(38));
    CHECK_FALSE(keyboard.press(99, 0));
}

TEST_CASE("keyboard: releasing all leaves nothing pressed, last pressed first") {
    KeyboardState keyboard;
    (void)keyboard.press(37, 0xffe3);
    (void)keyboard.press(64, 0xffe9);
    const auto releases = keyboard.release_all();
    REQUIRE(releases.size() == 2);
    CHECK(releases[0].keysym == 0xffe9);
    CHECK_FALSE(releases[0].is_down);
    CHECK(releases[1].keysym == 0xffe3);
    CHECK(keyboard.release_all().empty());
}

TEST_CASE("pointer: buttons and wheel are bits, and are let go of together") {
    PointerState pointer;
    CHECK(pointer.press(1, Point{5, 6})->buttons == 0b1);
    CHECK(pointer.press(3, Point{5, 6})->buttons == 0b101);
    CHECK(pointer.move(Point{7, 8}).buttons == 0b101);
    CHECK(pointer.release(1, Point{7, 8})->buttons == 0b100);
    CHECK_FALSE(pointer.release(1, Point{7, 8}));
    const auto released = pointer.release_all();
    REQUIRE(released);
    CHECK(released->buttons == 0);
    CHECK(released->at == Point{7, 8});
    CHECK_FALSE(pointer.release_all());
    CHECK(pointer.press(5, Point{})->buttons == 0b10000);
    CHECK_FALSE(pointer.press(12, Point{}));
}
