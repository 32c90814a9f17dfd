// The link below understudy-window, without a desktop: doors and sessions that misbehave.
#include <catch2/catch.hpp>  // before Xlib, whose macros would break it

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "viewer/link.hpp"
#include "tests/presentation/recording_session.hpp"
#include "tests/presentation/rig.hpp"

using namespace rig;
using namespace understudy;
using namespace understudy::viewer;

namespace {

/// A TCP listener that answers the first line with given bytes, or not at all.
class BareListener {
public:
    BareListener() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        fd_ = OwnedFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
        REQUIRE(listen(fd_.get(), 4) == 0);
        REQUIRE(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        source_ = Source{"127.0.0.1", ntohs(address.sin_port), identity_.key(), "dGlja2V0", 1};
    }
    [[nodiscard]] const Source& source() const { return source_; }
    [[nodiscard]] std::thread answer(std::string bytes) {
        return std::thread([this, bytes = std::move(bytes)] {
            auto secured = pump_.secure_as_server(OwnedFd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)), identity_);
            const OwnedFd client(secured->socket.release());
            fcntl(client.get(), F_SETFL, 0);
            char c = 0;
            while (recv(client.get(), &c, 1, 0) == 1 && c != '\n') {
            }
            (void)send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            (void)shutdown(client.get(), SHUT_WR);
            c = 0;
            while (recv(client.get(), &c, 1, 0) == 1 && c != '\n') {  // whoever was let in has a word to say before it looks at what came
            }
        });
    }

private:
    OwnedFd fd_;
    streams::DoorIdentity identity_ = std::move(streams::DoorIdentity::make().value());
    Source source_;
    streams::Pump pump_;
};

Source source_at(const Door& door) { return {"127.0.0.1", static_cast<std::uint16_t>(door.port()), door.key(), "t", 1}; }

/// Somebody at a door.
struct Passenger {
    explicit Passenger(const Source& source) : bearer(source.ticket, source.renewal) {}
    Bearer bearer;
    streams::Pump pump;
    Result<OwnedFd> pass(const Source& source, int stop_fd) {
        auto passed = pass_door(source, bearer, pump, stop_fd);
        if (!passed) return tl::unexpected(passed.error().error);
        return std::move(passed->socket);
    }
};

Result<OwnedFd> pass(const Source& source, int stop_fd) { return Passenger(source).pass(source, stop_fd); }

struct News {
    OwnedFd fd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    /// Waits until a link has told something of this kind.
    template <class Kind>
    bool wait(Link& link) {
        return eventually([&] {
            const LinkNews news = link.take_news();
            return std::any_of(news.events.begin(), news.events.end(),
                               [](const LinkEvent& event) { return std::holds_alternative<Kind>(event); });
        });
    }
};

}  // namespace

TEST_CASE("door: its answers are told apart") {
    BareListener listener;
    const OwnedFd never(eventfd(0, EFD_CLOEXEC));
    struct Case {
        std::string answer;
        ErrorCode code;
        const char* words;
    };
    for (const auto& [answer, code, words] :
         {Case{"NO the session is not running now\n", ErrorCode::refused, "not running"},
          Case{"VOID ticket has expired\n", ErrorCode::refused, "ticket has expired"}, Case{"RFB 003.008\n", ErrorCode::refused, "not a door"},
          Case{"OK\n", ErrorCode::refused, "not a door"}, Case{"O", ErrorCode::unavailable, "without an answer"},
          Case{"", ErrorCode::unavailable, "without an answer"}, Case{std::string(4000, 'x'), ErrorCode::refused, "too long"}}) {
        CAPTURE(answer);
        std::thread server = listener.answer(answer);
        const auto result = pass(listener.source(), never.get());
        server.join();
        REQUIRE_FALSE(result);
        CHECK(result.error().code == code);
        CHECK_THAT(result.error().message, Catch::Contains(words));
    }
}

TEST_CASE("door: what follows OK is left for RFB") {
    BareListener listener;
    const OwnedFd never(eventfd(0, EFD_CLOEXEC));
    std::thread server = listener.answer("OK " + std::string(kRenewalBytes, 'r') + "\nRFB");
    Passenger passenger(listener.source());
    const auto result = passenger.pass(listener.source(), never.get());
    server.join();
    REQUIRE(result);
    std::array<char, 8> rest{};
    CHECK(eventually([&] { return recv(result->get(), rest.data(), rest.size(), MSG_PEEK) == 3; }));
    CHECK(std::string(rest.data()) == "RFB");
    CHECK(passenger.bearer.renewal() == std::string(kRenewalBytes, 'r'));
}

TEST_CASE("door: who has a renewal shows that, and the ticket when the door takes it no more") {
    RecordingSession session(64, 64);
    Door door(session.rfb_socket());
    const OwnedFd never(eventfd(0, EFD_CLOEXEC));
    Passenger passenger(source_at(door));
    REQUIRE(passenger.pass(source_at(door), never.get()));
    REQUIRE(passenger.pass(source_at(door), never.get()));
    CHECK(door.lines() == std::vector<std::string>{"UNDERSTUDY/1 window t", "UNDERSTUDY/1 window =" + std::string(kRenewalBytes, 'r')});
    door.void_renewals();
    REQUIRE(passenger.pass(source_at(door), never.get()));
    CHECK(door.lines().back() == "UNDERSTUDY/1 window t");
}

TEST_CASE("door: one with another key than the manager says is told nothing") {
    RecordingSession session(64, 64);
    const Door door(session.rfb_socket());
    const OwnedFd never(eventfd(0, EFD_CLOEXEC));
    Source source = source_at(door);
    source.key = streams::DoorIdentity::make()->key();
    const auto result = pass(source, never.get());
    REQUIRE_FALSE(result);
    CHECK_THAT(result.error().message, Catch::Contains("another key"));
    source.key.clear();
    CHECK_THAT(pass(source, never.get()).error().message, Catch::Contains("does not know this door's key"));
    CHECK(door.lines().empty());
}

TEST_CASE("door: one that does not answer is given up after five seconds, or at once when told to stop") {
    const BareListener listener;  // the kernel takes the connection, nobody answers
    const OwnedFd never(eventfd(0, EFD_CLOEXEC));
    const auto start = std::chrono::steady_clock::now();
    const auto result = pass(listener.source(), never.get());
    const auto took = std::chrono::steady_clock::now() - start;
    REQUIRE_FALSE(result);
    // The handshake has as long as the whole way in: either may be over first.
    CHECK_THAT(result.error().message, Catch::Contains("within 5 s") || Catch::Contains("handshake was not done in time"));
    CHECK(took > milliseconds{4900});
    CHECK(took < milliseconds{7000});

    const OwnedFd stopped(eventfd(1, EFD_CLOEXEC));
    const auto second_start = std::chrono::steady_clock::now();
    CHECK_FALSE(pass(listener.source(), stopped.get()));
    CHECK(std::chrono::steady_clock::now() - second_start < milliseconds{1000});
}

TEST_CASE("link: it ends quickly, whatever it is waiting for") {
    const News news;
    const auto ends_quickly = [&](Source source, const std::function<void(Link&)>& before) {
        const auto link = std::make_unique<Link>(std::move(source), "raw", news.fd.get());
        before(*link);
        link->stop();
        return eventually([&] { return link->has_ended(); }, milliseconds{1000});
    };
    const BareListener silent;
    CHECK(ends_quickly(silent.source(), [](Link&) {}));
    RecordingSession session(64, 64);
    const Door door(session.rfb_socket());
    const Source source = source_at(door);
    CHECK(ends_quickly(source, [&](Link&) { REQUIRE(eventually([&] { return session.connections() == 1; })); }));
    // In the middle of a message that never ends.
    CHECK(ends_quickly(source, [&](Link& link) {
        REQUIRE(eventually([&] { return session.connections() == 2; }));
        (void)link;
        session.send_raw({0, 0, 0, 1, 0, 0, 0, 0, 0, 64, 0, 64, 0, 0, 0, 0, 1, 2, 3});
        REQUIRE(eventually([&] { return link.silence() < milliseconds{500}; }));
    }));
}

TEST_CASE("link: no bytes from a session can do more than end the connection") {
    News news;
    RecordingSession session(64, 64);
    const Door door(session.rfb_socket());
    const Source source = source_at(door);
    std::mt19937 random(20240607);
    for (int round = 0; round < 100; ++round) {
        CAPTURE(round);
        Link link(source, "raw copyrect hextile zrle tight", news.fd.get());
        REQUIRE(news.wait<LinkConnected>(link));
        std::vector<std::uint8_t> bytes;
        // Mostly things that begin well: an update or clipboard text, then noise.
        if (round % 3 == 0) bytes = {0, 0, 0, static_cast<std::uint8_t>(1 + random() % 4)};
        if (round % 3 == 1) bytes = {3, 0, 0, 0, 0xff, 0xff, 0xff, static_cast<std::uint8_t>(random())};
        for (int i = 0; i < 3000; ++i) bytes.push_back(static_cast<std::uint8_t>(random() % (round % 2 == 0 ? 256 : 4)));
        session.send_raw(bytes);
        // It may take the noise for the beginning of something long: then the session hangs up.
        session.hang_up();
        REQUIRE(news.wait<LinkLost>(link));
    }
}

TEST_CASE("link: a size that no screen has ends the connection") {
    News news;
    RecordingSession session(64, 64);
    const Door door(session.rfb_socket());
    Link link(source_at(door), "raw", news.fd.get());
    REQUIRE(news.wait<LinkConnected>(link));
    // A new size (pseudo-encoding -223) of 60000 x 60000 pixels.
    session.send_raw({0, 0, 0, 1, 0, 0, 0, 0, 0xEA, 0x60, 0xEA, 0x60, 0xff, 0xff, 0xff, 0x21});
    CHECK(news.wait<LinkLost>(link));
}
