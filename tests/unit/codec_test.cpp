// Claims about the wire codec.
#include <catch2/catch.hpp>

#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

using namespace understudy;

namespace {

AssignDesktop desktop_with_everything() {
    AssignDesktop assign;
    assign.registration = 1ull << 40;
    assign.terminal = TerminalId(7);
    assign.epoch = 3;
    assign.revision = 9;
    assign.duty = Duty::backup;
    assign.width = 1280;
    assign.height = 800;
    WindowSource source;
    source.session = SessionId(12);
    source.endpoint = {"127.0.0.1", 41001};
    source.ticket.claims.epoch = 3;
    source.ticket.text = "opaque";
    source.title = "Geany – \xF0\x9F\x90\xA7";
    assign.windows = {source, source};
    WindowPlace place;
    place.session = SessionId(12);
    place.x = -5;
    place.width = 640;
    place.focused = true;
    assign.layout = {place};
    return assign;
}

}  // namespace

TEST_CASE("codec: what was encoded decodes to the same message") {
    const Envelope sent{77, 5, desktop_with_everything()};
    const auto received = decode(encode(sent));
    REQUIRE(received);
    CHECK(*received == sent);
}

TEST_CASE("codec: another protocol version is refused, naming both") {
    const auto received = decode(encode({1, 1, Heartbeat{}}, 9));
    REQUIRE_FALSE(received);
    CHECK(received.error().code == ErrorCode::version);
    CHECK(received.error().message.find("version 9") != std::string::npos);
}

TEST_CASE("codec: every truncation of a message is refused and none is fatal") {
    const Bytes whole = encode({1, 1, desktop_with_everything()});
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK_FALSE(decode(BytesView(whole).first(length)));
    }
}

TEST_CASE("codec: a wrong field type is refused, naming message and field") {
    // {"registration": "text"} as a Heartbeat
    Bytes bytes = encode({1, 1, Heartbeat{}});
    bytes.resize(kHeaderBytes);
    const std::string body = std::string("\x81\xac") + "registration" + "\xa4" + "text";
    bytes.insert(bytes.end(), body.begin(), body.end());
    const auto received = decode(bytes);
    REQUIRE_FALSE(received);
    CHECK(received.error().message.find("Heartbeat") != std::string::npos);
    CHECK(received.error().message.find("registration") != std::string::npos);
}

TEST_CASE("codec: unknown keys are ignored") {
    Bytes bytes = encode({1, 1, Heartbeat{}});
    bytes.resize(kHeaderBytes);
    const std::string body = std::string("\x82\xa6") + "future" + "\x01" + "\xa8" + "sequence" + "\x2a";
    bytes.insert(bytes.end(), body.begin(), body.end());
    const auto received = decode(bytes);
    REQUIRE(received);
    CHECK(std::get<Heartbeat>(received->message).sequence == 42);
}

TEST_CASE("codec: announced sizes over the limits are refused before they are believed") {
    Bytes bytes = encode({1, 1, DesktopStatus{}});
    bytes.resize(kHeaderBytes);
    const std::string body = std::string("\x81\xa7") + "windows" + std::string("\xdd\x7f\xff\xff\xff", 5);
    bytes.insert(bytes.end(), body.begin(), body.end());
    const auto received = decode(bytes);
    REQUIRE_FALSE(received);
    CHECK(received.error().code == ErrorCode::limit);

    CHECK(decode(Bytes(limits::kMessageBytes + 1, 'U')).error().code == ErrorCode::invalid);
}

TEST_CASE("codec: an unknown type is refused") {
    Bytes bytes = encode({1, 1, Heartbeat{}});
    bytes[4] = 0x7f;
    CHECK(decode(bytes).error().message.find("unknown message type") != std::string::npos);
}
