// Writes the corpus that is in the tree: one message of each type, tickets, requests, what a display server says.
// Usage: make-corpus FOLDER
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <zlib.h>

#include "protocol/codec.hpp"
#include "protocol/pack.hpp"
#include "protocol/ticket.hpp"

using namespace understudy;

namespace {

void write(const std::string& file, const Bytes& bytes, const std::string& head = {}) {
    std::ofstream to(file, std::ios::binary);
    to << head;
    to.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

template <std::size_t... Type>
void write_each(const std::string& folder, std::index_sequence<Type...>) {
    const auto one = [&](Message message) { write(folder + "/" + name_of(message), encode({7, 9, message})); };
    (one(std::variant_alternative_t<Type, Message>{}), ...);
}

/// The key and the cookie are those that http.cpp knows.
void write_requests(const std::string& folder) {
    const std::string end = " HTTP/1.1\r\nHost: gateway:7480\r\n";
    const std::string key = "Authorization: Bearer usk_abcdefghijkmnopqrstuvwxyz2345\r\n";
    const std::string cookie = "Cookie: theme=dark; __Host-understudy=usk_zyxwvutsrqponmkjihgfedcba5432\r\n";
    const auto get = [&](const std::string& name, const std::string& target, const std::string& head = {}) {
        write(folder + "/" + name, {}, "GET " + target + end + head + "\r\n");
    };
    const auto post = [&](const std::string& name, const std::string& target, const std::string& head, const std::string& body) {
        write(folder + "/" + name, {}, "POST " + target + end + head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    };
    get("home", "/", cookie);
    get("login", "/login?next=%2Fterminal%2Fdesk+1");
    get("login-elsewhere", "/login?next=%2F%2Fevil.example");
    get("open-file", "/assets/base.css");
    get("file", "/novnc/core/rfb.js", key);
    get("way-out", "/novnc/../outside.js", key);
    get("hidden-way-out", "/assets/%2e%2e%2foutside.js", key);
    get("health", "/health/ready");
    get("section", "/api/v1/sessions", cookie);
    get("incident", "/api/v1/incidents/1%20host=alpha", key);
    get("what-if", "/api/v1/what-if?host=--config=/etc/passwd", key);
    get("audit", "/api/v1/audit?count=10", key);
    get("terminal", "/terminal/desk%201", cookie);
    get("stream", "/api/v1/terminals/desk/stream?place=1a2b", cookie + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    get("wrong-key", "/api/v1/me", "Authorization: Bearer usk_0\r\n" + cookie);
    get("two-cookies", "/api/v1/me", "Cookie: __Host-understudy=x;__Host-understudy=\r\n");
    post("form", "/login", "Content-Type: application/x-www-form-urlencoded\r\n", "name=ada&password=a+b%21&next=%2Fconsole");
    post("logout", "/logout", cookie, "");
    post("act", "/api/v1/act", key + "X-Understudy-Request: 1\r\n", R"({"verb":"failover","arguments":{"session":2,"reason":"slow"}})");
    post("act-list", "/api/v1/act", key, R"({"verb":"kill","arguments":["node=5","dry-run=yes"]})");
    post("act-for-another", "/api/v1/act", key, R"({"verb":"drain","arguments":["by=ada","host=alpha"]})");
    write(folder + "/chunks", {}, "POST /api/v1/act" + end + "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"ve\r\n0\r\n\r\n");
    write(folder + "/two", {}, "GET /health/live" + end + "\r\nGET /api/v1/me" + end + key + "\r\n");
}

void put(Bytes& bytes, std::uint64_t value, int octets) {
    for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

void put(Bytes& bytes, const std::string& text) { bytes.insert(bytes.end(), text.begin(), text.end()); }

/// The first byte says in what pieces rfb.cpp gives the rest.
Bytes greeting(const std::string& name) {
    Bytes bytes;
    put(bytes, 7, 1);
    put(bytes, "RFB 003.008\n");
    put(bytes, 0x0101, 2);
    put(bytes, 0, 4);
    for (const std::uint64_t side : {16U, 8U}) put(bytes, side, 2);
    for (int i = 0; i < 2; ++i) put(bytes, 0, 8);
    put(bytes, name.size(), 4);
    put(bytes, name);
    return bytes;
}

void put_update(Bytes& bytes, std::uint64_t x, std::uint64_t y, std::uint64_t width, std::uint64_t height, std::int32_t encoding) {
    put(bytes, 1, 4);
    for (const std::uint64_t value : {x, y, width, height}) put(bytes, value, 2);
    put(bytes, static_cast<std::uint32_t>(encoding), 4);
}

Bytes compressed(const Bytes& plain) {
    Bytes packed(plain.size() + 100);
    uLongf length = packed.size();
    if (compress(packed.data(), &length, plain.data(), plain.size()) != Z_OK) return {};
    packed.resize(length);
    return packed;
}

void write_screens(const std::string& folder) {
    Bytes open = greeting("me");
    write(folder + "/greeting", open);
    Bytes raw = open;
    put_update(raw, 0, 0, 16, 8, 0);
    for (int i = 0; i < 16 * 8; ++i) put(raw, 0x20406000U, 4);
    write(folder + "/raw", raw);
    put_update(raw, 4, 4, 4, 4, 1);
    put(raw, 0, 4);
    write(folder + "/copy", raw);
    // One colour; a palette with one bit per pixel and one in runs; pixels; a run.
    const std::vector<Bytes> tiles = {{1, 9, 8, 7}, {2, 1, 1, 1, 2, 2, 2, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255},
                                      {130, 1, 1, 1, 2, 2, 2, 128, 126, 1}, {128, 5, 5, 5, 127}};
    for (std::size_t i = 0; i < tiles.size(); ++i) {
        Bytes zrle = open;
        const Bytes packed = compressed(tiles[i]);
        put_update(zrle, 0, 0, 16, 8, 16);
        put(zrle, packed.size(), 4);
        zrle.insert(zrle.end(), packed.begin(), packed.end());
        write(folder + "/zrle-" + std::to_string(i), zrle);
    }
    Bytes others = open;
    put(others, 2, 1);
    put(others, 3, 1);
    put(others, 0, 3);
    put(others, 5, 4);
    put(others, "hello");
    put_update(others, 0, 0, 32, 20, -223);
    put_update(others, 0, 0, 40, 20, -308);
    put(others, 1, 1);
    for (int i = 0; i < 19; ++i) put(others, 0, 1);
    put_update(others, 1, 1, 2, 2, -239);
    for (int i = 0; i < 18; ++i) put(others, 1, 1);
    put_update(others, 0, 0, 0, 0, -224);
    write(folder + "/others", others);
    Bytes refusal;
    put(refusal, 3, 1);
    put(refusal, "RFB 003.008\n");
    put(refusal, 0, 1);
    put(refusal, 4, 4);
    put(refusal, "full");
    write(folder + "/refusal", refusal);
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) return 2;
    const std::string folder = words[1];
    write_each(folder + "/decode", std::make_index_sequence<std::variant_size_v<Message>>{});
    Hello hello;
    hello.node = NodeId(5);
    hello.sessions.resize(2);
    hello.sessions[0].checkpoints.resize(2);
    hello.desktops.resize(1);
    hello.desktops[0].windows.resize(2);
    hello.held_sessions.resize(1);
    hello.held_desktops.resize(1);
    write(folder + "/decode/full-hello", encode({7, 9, hello}));
    write(folder + "/decode/another-version", encode({7, 9, Heartbeat{}}, 2));
    AssignDesktop desktop;
    desktop.windows.resize(2);
    desktop.windows[0].ticket.text = "a.b";
    desktop.layout.resize(2);
    write(folder + "/decode/full-desktop", encode({7, 9, desktop}));
    write(folder + "/decode/act", encode({7, 9, AdminRequest{3, "define-host", {"name=alpha", "uri=qemu:///system", "vcpus=4", "reason=new"}}}));
    const TicketClaims claims{Purpose::window, TerminalId(1), SessionId(2), NodeId(3), NodeId(4), 5, 6, 7, 1'700'000'000'000};
    Bytes body;
    pack::append(body, claims);
    write(folder + "/ticket/claims", body, "\x01");
    const auto sealed = seal_ticket(claims, make_ticket_keys().secret);
    if (sealed) write(folder + "/ticket/signed-by-another", {}, std::string("0") + *sealed);
    std::filesystem::create_directories(folder + "/http");
    std::filesystem::create_directories(folder + "/rfb");
    write_requests(folder + "/http");
    write_screens(folder + "/rfb");
    return 0;
}
