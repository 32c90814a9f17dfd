// Claims about the RFB client, with bytes a server could send.
#include <zlib.h>

#include <random>

#include <catch2/catch.hpp>

#include "client/rfb/keysym.hpp"
#include "client/rfb/rfb_client.hpp"

using namespace understudy;
using namespace understudy::client;

namespace {

void put(Bytes& bytes, std::uint64_t value, int octets) {
    for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

void put(Bytes& bytes, const std::string& text) { bytes.insert(bytes.end(), text.begin(), text.end()); }

Bytes greeting(int width, int height) {
    Bytes bytes;
    put(bytes, "RFB 003.008\n");
    put(bytes, 0x0101, 2);
    put(bytes, 0, 4);
    put(bytes, static_cast<std::uint64_t>(width), 2);
    put(bytes, static_cast<std::uint64_t>(height), 2);
    put(bytes, 0, 8);
    put(bytes, 0, 8);
    put(bytes, 2, 4);
    put(bytes, "me");
    return bytes;
}

void put_head(Bytes& bytes, const Area& area, std::int32_t encoding) {
    for (const int value : {area.x, area.y, area.width, area.height}) put(bytes, static_cast<std::uint64_t>(value), 2);
    put(bytes, static_cast<std::uint32_t>(encoding), 4);
}

Bytes raw_update(const Area& area, std::uint32_t colour) {
    Bytes bytes;
    put(bytes, 1, 4);
    put_head(bytes, area, 0);
    for (int i = 0; i < area.width * area.height; ++i) {
        for (const int shift : {0, 8, 16}) bytes.push_back(static_cast<std::uint8_t>(colour >> shift));
        bytes.push_back(0);
    }
    return bytes;
}

/// As a server does it: flushed, and never ended.
Bytes compressed(const Bytes& plain) {
    Bytes packed(plain.size() + 100);
    z_stream state{};
    REQUIRE(deflateInit(&state, Z_DEFAULT_COMPRESSION) == Z_OK);
    Bytes source = plain;
    state.next_in = source.data();
    state.avail_in = static_cast<uInt>(source.size());
    state.next_out = packed.data();
    state.avail_out = static_cast<uInt>(packed.size());
    REQUIRE(deflate(&state, Z_SYNC_FLUSH) == Z_OK);
    packed.resize(packed.size() - state.avail_out);
    deflateEnd(&state);
    return packed;
}

Bytes zrle_update(const Area& area, const Bytes& plain) {
    Bytes bytes;
    put(bytes, 1, 4);
    put_head(bytes, area, 16);
    const Bytes packed = compressed(plain);
    put(bytes, packed.size(), 4);
    bytes.insert(bytes.end(), packed.begin(), packed.end());
    return bytes;
}

RfbClient greeted(int width, int height) {
    RfbClient client;
    REQUIRE(client.feed(greeting(width, height)));
    REQUIRE(client.ready());
    static_cast<void>(client.take_output());
    return client;
}

}  // namespace

TEST_CASE("rfb: the picture is complete once every pixel was drawn, and is so once") {
    RfbClient client = greeted(4, 2);
    REQUIRE(client.feed(raw_update({0, 0, 4, 1}, 0x112233)));
    CHECK_FALSE(client.complete());
    REQUIRE(client.feed(raw_update({0, 1, 4, 1}, 0x445566)));
    CHECK(client.complete());
    const auto updates = client.take_updates();
    REQUIRE(updates.size() == 2);
    CHECK_FALSE(updates[0].first_complete);
    CHECK(updates[1].first_complete);
    CHECK(updates[1].bounds == Area{0, 1, 4, 1});
    CHECK(client.picture().at(3, 0) == 0x112233);
    CHECK(client.picture().at(0, 1) == 0x445566);
    REQUIRE(client.feed(raw_update({0, 0, 4, 2}, 1)));
    CHECK_FALSE(client.take_updates().front().first_complete);
}

TEST_CASE("rfb: it makes no difference how the bytes are cut") {
    Bytes all = greeting(8, 8);
    for (const auto& part : {raw_update({0, 0, 8, 8}, 0xabcdef), raw_update({2, 2, 3, 3}, 0x010203)}) all.insert(all.end(), part.begin(), part.end());
    RfbClient whole;
    REQUIRE(whole.feed(all));
    RfbClient pieces;
    for (const std::uint8_t byte : all) REQUIRE(pieces.feed(BytesView(&byte, 1)));
    CHECK(pieces.picture().pixels == whole.picture().pixels);
    CHECK(pieces.take_output() == whole.take_output());
}

TEST_CASE("rfb: ZRLE tiles of all kinds are drawn") {
    RfbClient client = greeted(4, 1);
    const Area all{0, 0, 4, 1};
    // raw: four pixels, blue first
    REQUIRE(client.feed(zrle_update(all, {0, 3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10})));
    CHECK(client.picture().pixels == std::vector<std::uint32_t>{0x010203, 0x040506, 0x070809, 0x0a0b0c});
}

TEST_CASE("rfb: a ZRLE palette, its packed pixels and its runs are drawn") {
    const Area all{0, 0, 4, 1};
    RfbClient solid = greeted(4, 1);
    REQUIRE(solid.feed(zrle_update(all, {1, 3, 2, 1})));
    CHECK(solid.picture().at(3, 0) == 0x010203);
    RfbClient packed = greeted(4, 1);
    REQUIRE(packed.feed(zrle_update(all, {2, 1, 0, 0, 2, 0, 0, 0b01100000})));
    CHECK(packed.picture().pixels == std::vector<std::uint32_t>{1, 2, 2, 1});
    RfbClient plain_runs = greeted(4, 1);
    REQUIRE(plain_runs.feed(zrle_update(all, {128, 1, 0, 0, 2, 2, 0, 0, 0})));
    CHECK(plain_runs.picture().pixels == std::vector<std::uint32_t>{1, 1, 1, 2});
    RfbClient palette_runs = greeted(4, 1);
    REQUIRE(palette_runs.feed(zrle_update(all, {130, 1, 0, 0, 2, 0, 0, 0x80, 2, 1})));
    CHECK(palette_runs.picture().pixels == std::vector<std::uint32_t>{1, 1, 1, 2});
}

TEST_CASE("rfb: a tile that holds too little, too much or nonsense is refused") {
    const Area all{0, 0, 4, 1};
    for (const Bytes& plain : {Bytes{0, 3, 2}, Bytes{128, 1, 0, 0, 200}, Bytes{17, 0}, Bytes{129, 0}, Bytes{}}) {
        RfbClient client = greeted(4, 1);
        CHECK_FALSE(client.feed(zrle_update(all, plain)));
    }
}

TEST_CASE("rfb: a copy may overlap its source") {
    RfbClient client = greeted(3, 1);
    for (int x = 0; x < 3; ++x) REQUIRE(client.feed(raw_update({x, 0, 1, 1}, static_cast<std::uint32_t>(x + 1))));
    Bytes copy;
    put(copy, 1, 4);
    put_head(copy, {1, 0, 2, 1}, 1);
    put(copy, 0, 4);
    REQUIRE(client.feed(copy));
    CHECK(client.picture().pixels == std::vector<std::uint32_t>{1, 1, 2});
}

TEST_CASE("rfb: a new size asks for the whole picture anew") {
    RfbClient client = greeted(4, 4);
    REQUIRE(client.feed(raw_update({0, 0, 4, 4}, 5)));
    static_cast<void>(client.take_output());
    Bytes resize;
    put(resize, 1, 4);
    put_head(resize, {0, 0, 6, 6}, -223);
    REQUIRE(client.feed(resize));
    CHECK(client.picture().width == 6);
    const Bytes asked = client.take_output();
    REQUIRE(asked.size() == 10);
    CHECK(asked[0] == 3);
    CHECK(asked[1] == 0);
}

TEST_CASE("rfb: drawing outside the picture, unknown encodings and impossible sizes are refused") {
    RfbClient outside = greeted(4, 4);
    CHECK(outside.feed(raw_update({3, 3, 2, 2}, 1)).error().code == ErrorCode::damaged);
    RfbClient unknown = greeted(4, 4);
    Bytes update;
    put(update, 1, 4);
    put_head(update, {0, 0, 1, 1}, 7);
    CHECK(unknown.feed(update).error().code == ErrorCode::damaged);
    RfbClient huge;
    CHECK(huge.feed(greeting(65535, 65535)).error().code == ErrorCode::limit);
}

TEST_CASE("rfb: a server that wants a password or refuses is told apart") {
    Bytes password;
    put(password, "RFB 003.008\n");
    put(password, 0x0102, 2);
    CHECK(RfbClient().feed(password).error().code == ErrorCode::refused);
    Bytes refusal;
    put(refusal, "RFB 003.008\n");
    put(refusal, 0, 1);
    put(refusal, 4, 4);
    put(refusal, "full");
    CHECK(RfbClient().feed(refusal).error().message == "the server refuses: full");
    Bytes old;
    put(old, "RFB 003.003\n");
    CHECK(RfbClient().feed(old).error().code == ErrorCode::version);
}

TEST_CASE("rfb: stands random bytes after the greeting") {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        RfbClient client = greeted(16, 16);
        Bytes noise(400);
        for (auto& byte : noise) byte = static_cast<std::uint8_t>(random() % (round % 2 == 0 ? 256 : 4));
        static_cast<void>(client.feed(noise));
    }
    SUCCEED();
}

TEST_CASE("keysym: text and names become keysyms") {
    CHECK(keysyms_of("aÄ€\n") == std::vector<std::uint32_t>{'a', 0xC4, 0x010020AC, 0xff0d});
    CHECK(keysyms_of("a\xff" "b\xc3") == std::vector<std::uint32_t>{'a', 'b'});
    CHECK(keysym_named("Return") == 0xff0d);
    CHECK(keysym_named("F12") == 0xffc9);
    CHECK(keysym_named("x") == 'x');
    CHECK_FALSE(keysym_named("F13"));
    CHECK_FALSE(keysym_named("Nonsense"));
}
