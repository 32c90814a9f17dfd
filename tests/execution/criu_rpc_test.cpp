// The conversation with CRIU, against one that only plays its part.
#include "nodes/execution/criu_rpc.hpp"

#include <sys/socket.h>

#include <thread>

#include <catch2/catch.hpp>

#include "tests/execution/support.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace understudy::node::test;

namespace {

std::pair<Descriptor, Descriptor> packet_pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::string take(int socket) {
    char packet[8192];
    const auto length = ::recv(socket, packet, sizeof packet, 0);
    return length > 0 ? std::string(packet, static_cast<std::size_t>(length)) : std::string();
}

void give(int socket, const std::string& packet) { REQUIRE(::send(socket, packet.data(), packet.size(), 0) >= 0); }

// Messages as CRIU writes them: type, success, then what belongs to the type.
const std::string kPostDump{"\x08\x06\x10\x01\x2a\x0b\x0a\x09post-dump", 17};
const std::string kDumped{"\x08\x01\x10\x01", 4};
const std::string kNotDumped{"\x08\x01\x10\x00\x38\x10", 6};          // error number 16
const std::string kRestored{"\x08\x02\x10\x01\x22\x03\x08\xac\x02", 9};  // process 300

}  // namespace

TEST_CASE("criu: the files are copied while the processes stand still, before the dump is over") {
    auto [ours, theirs] = packet_pair();
    std::vector<std::string> order;
    std::thread criu([&, socket = theirs.get()] {
        (void)take(socket);
        give(socket, kPostDump);
        const auto answer = take(socket);
        order.emplace_back(answer == std::string("\x08\x06\x18\x01", 4) ? "go on" : "stop");
        give(socket, kDumped);
    });
    CriuOptions options;
    options.pid = 77;
    const auto answer = ask_criu(ours.get(), CriuRequest::dump, options, [&] {
        order.emplace_back("copied");
        return true;
    });
    criu.join();
    CHECK(answer);
    CHECK(order == std::vector<std::string>{"copied", "go on"});
}

TEST_CASE("criu: files that can't be copied make the dump fail") {
    auto [ours, theirs] = packet_pair();
    std::string said;
    std::thread criu([&, socket = theirs.get()] {
        (void)take(socket);
        give(socket, kPostDump);
        said = take(socket);
        give(socket, kNotDumped);
    });
    const auto answer = ask_criu(ours.get(), CriuRequest::dump, {}, [] { return false; });
    criu.join();
    CHECK_FALSE(answer);
    CHECK(said == std::string("\x08\x06\x18\x00", 4));
}

TEST_CASE("criu: a restore tells the process, a failure its cause") {
    auto [ours, theirs] = packet_pair();
    SECTION("restored") {
        std::thread criu([&, socket = theirs.get()] {
            (void)take(socket);
            give(socket, kRestored);
        });
        const auto answer = ask_criu(ours.get(), CriuRequest::restore, {}, {});
        criu.join();
        REQUIRE(answer);
        CHECK(answer->pid == 300);
    }
    SECTION("refused") {
        std::thread criu([&, socket = theirs.get()] {
            (void)take(socket);
            give(socket, kNotDumped);
        });
        const auto answer = ask_criu(ours.get(), CriuRequest::dump, {}, {});
        criu.join();
        REQUIRE_FALSE(answer);
        CHECK_THAT(answer.error().message, Catch::Contains("busy"));
    }
    SECTION("gone") {
        theirs.reset();
        const auto answer = ask_criu(ours.get(), CriuRequest::dump, {}, {});
        REQUIRE_FALSE(answer);
        CHECK(answer.error().code == ErrorCode::unavailable);
    }
}

TEST_CASE("criu: the reason is what its log says, without what every log says") {
    const Scratch scratch;
    write_file(scratch / "dump.log",
               "(00.1) Error (criu/tun.c:85): tun: Unable to create tun: No such file or directory\n"
               "(00.2) something else\n"
               "(00.3) Error (criu/tty.c:2268): tty: ctty inheritance detected sid/pgrp 8\n"
               "(00.4) Error (criu/cr-dump.c:2053): Dumping FAILED.\n");
    CHECK(errors_of_log(scratch / "dump.log") == "tty: ctty inheritance detected sid/pgrp 8; Dumping FAILED.");
    CHECK(errors_of_log(scratch / "none").empty());
}
