// The door: who is let in, who is not, and that a stream is cut when its time is over.
#include "nodes/agent/door.hpp"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <set>

#include <catch2/catch.hpp>

#include "nodes/agent/base/tcp.hpp"
#include "protocol/limits.hpp"
#include "protocol/ticket.hpp"
#include "tests/execution/support.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace understudy::node::test;

namespace {

/// A plain connection from one of loopback's many addresses.
Descriptor connect_from(std::uint32_t source, std::uint16_t port) {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(source);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
    sockaddr_in to = from;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    const int result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    REQUIRE((result == 0 || errno == EINPROGRESS));
    return socket;
}

/// A door with a screen behind it, both on this machine.
struct House {
    Loop loop;
    Scratch scratch;
    TicketKeys keys = make_ticket_keys();
    Descriptor screen{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    bool screen_takes = true;
    bool comes_up = false;
    std::set<std::uint64_t> refused_sessions;
    std::vector<Descriptor> checkpoints;
    std::function<void()> checkpoint_gone;
    std::uint16_t port = 0;
    std::string key;
    std::uint64_t serial = 0;
    std::uint64_t renewals = 0;
    std::int64_t wall_ms = 1'000'000;
    ErrorCode refuses_with = ErrorCode::refused;
    streams::Pump pump;
    std::vector<std::shared_ptr<const streams::Ending>> endings;
    std::unique_ptr<Door> door;

    House() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        (scratch / "screen").copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(screen.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(screen.get(), 64) == 0);  // more than any test here leaves unaccepted
        auto listener = listen_on("127.0.0.1", 0).value();
        port = port_of(listener.get());
        DoorTargets targets;
        targets.open_ticket = [this](std::string_view text) { return open_ticket(text, keys.public_key); };
        targets.admits = [this](const TicketClaims& claims) -> Result<> {
            if (refused_sessions.contains(claims.session.value)) return failure(refuses_with, "the epoch is stale");
            return {};
        };
        targets.wall_ms = [this] { return wall_ms; };
        targets.new_renewal = [this] {
            std::string text = std::to_string(++renewals);
            return text.insert(0, kRenewalBytes - text.size(), 'r');
        };
        targets.comes_up = [this](const TicketClaims&) { return comes_up; };
        targets.screen_socket = [this](SessionId) -> std::optional<std::string> {
            if (!screen_takes) return {};
            return scratch / "screen";
        };
        targets.desktop_socket = [this](TerminalId) -> Result<std::string> { return scratch / "screen"; };
        targets.take_checkpoints = [this](const TicketClaims&, Descriptor socket, std::function<void()> on_gone) -> Result<> {
            checkpoints.push_back(std::move(socket));
            checkpoint_gone = std::move(on_gone);
            return {};
        };
        targets.log = [](const std::string&, const std::string&) {};
        auto identity = streams::DoorIdentity::make().value();
        key = identity.key();
        door = std::make_unique<Door>(loop, std::move(listener), std::move(identity), std::move(targets));
    }

    std::string ticket(Purpose purpose, std::uint64_t session = 5) {
        TicketClaims claims;
        claims.purpose = purpose;
        claims.session = SessionId(session);
        claims.serial = ++serial;
        claims.expires_wall_ms = wall_ms + 60'000;
        return seal_ticket(claims, keys.secret).value();
    }

    Descriptor knock(const std::string& bytes) {
        auto secured = pump.dial({"127.0.0.1", port, key}).value();
        Descriptor socket(secured.socket.release());
        endings.push_back(secured.ending);
        REQUIRE(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
        return socket;
    }

    /// Reads until `count` bytes or the end.
    std::string read(const Descriptor& socket, std::size_t count) {
        std::string text;
        bool ended = false;
        run_until(loop, [&] {
            char part[4096];
            ssize_t got = 0;
            while (text.size() < count && (got = ::recv(socket.get(), part, std::min(sizeof part, count - text.size()), MSG_DONTWAIT)) > 0) {
                text.append(part, static_cast<std::size_t>(got));
            }
            ended = got == 0;
            return text.size() >= count || ended;
        });
        return text;
    }

    std::string line(const Descriptor& socket) {
        std::string text;
        while (!text.ends_with('\n')) {
            const auto more = read(socket, 1);
            if (more.empty()) break;
            text += more;
        }
        return text;
    }

    /// Takes the door's OK and says that it has come; the renewal. Fails the test when the door says something else.
    std::string enter(const Descriptor& socket) {
        const auto answer = line(socket);
        INFO(answer);
        REQUIRE((answer.starts_with("OK ") && answer.size() == kRenewalBytes + 4));
        REQUIRE(::send(socket.get(), kDoorGo.data(), kDoorGo.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kDoorGo.size()));
        const auto renewal = answer.substr(3, kRenewalBytes);
        REQUIRE(run_until(loop, [&] { return door->book().look_at(renewal).has_value(); }));
        return renewal;
    }

    bool is_closed(const Descriptor& socket) {
        return run_until(loop, [&] {
            char next = 0;
            const auto got = ::recv(socket.get(), &next, 1, MSG_DONTWAIT);
            return got == 0 || (got < 0 && errno != EAGAIN);
        }, 5000);
    }

    Descriptor take_screen_connection() {
        Descriptor taken;
        REQUIRE(run_until(loop, [&] {
            taken.reset(::accept4(screen.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            return static_cast<bool>(taken);
        }));
        return taken;
    }
};

}  // namespace

TEST_CASE("door: a window with a good ticket is spliced to its screen, both ways") {
    House house;
    const auto window = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n");
    house.enter(window);
    const auto screen = house.take_screen_connection();
    REQUIRE(::send(window.get(), "early bytes", 11, 0) == 11);
    CHECK(house.read(screen, 11) == "early bytes");
    REQUIRE(::send(screen.get(), "picture", 7, 0) == 7);
    CHECK(house.read(window, 7) == "picture");
    CHECK(house.door->window_connections(SessionId(5)).size() == 1);
    CHECK(house.door->window_connections(SessionId(6)).empty());
}

TEST_CASE("door: what is no ticket is refused with a reason, and nothing more is heard") {
    House house;
    std::string line;
    std::string reason;
    SECTION("another protocol") { line = "GET / HTTP/1.1\n", reason = "first line"; }
    SECTION("no purpose") { line = "UNDERSTUDY/1 \n", reason = "a window, a desktop or a checkpoint"; }
    SECTION("unknown purpose") { line = "UNDERSTUDY/1 shell abc\n", reason = "a window, a desktop or a checkpoint"; }
    SECTION("no ticket") { line = "UNDERSTUDY/1 window x\n", reason = "not a ticket"; }
    SECTION("a forged ticket") {
        auto text = house.ticket(Purpose::window);
        text[5] = text[5] == 'A' ? 'B' : 'A';
        line = "UNDERSTUDY/1 window " + text + "\n", reason = "signature";
    }
    SECTION("a ticket of another kind") { line = "UNDERSTUDY/1 window " + house.ticket(Purpose::checkpoint) + "\n", reason = "another kind"; }
    SECTION("a stale ticket") {
        house.refused_sessions.insert(5);
        line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n", reason = "stale";
    }
    SECTION("something behind the line") { line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\nRFB 003.008\n", reason = "nothing may be said"; }
    SECTION("a renewal that nobody gave") { line = "UNDERSTUDY/1 window =" + std::string(kRenewalBytes, 'r') + "\n", reason = "renewal"; }
    SECTION("a ticket that has expired") {
        const auto text = house.ticket(Purpose::window);
        house.wall_ms += 60'000 + TicketBook::kClockMarginMs + 1;
        line = "UNDERSTUDY/1 window " + text + "\n", reason = "expired";
    }
    SECTION("a line without an end") { line = "UNDERSTUDY/1 window " + std::string(limits::kDoorLineBytes, 'x'), reason = "first line"; }
    const auto socket = house.knock(line);
    const auto answer = house.line(socket);
    CHECK_THAT(answer, Catch::StartsWith("VOID ") && Catch::Contains(reason));
    CHECK(house.is_closed(socket));
    CHECK(house.door->connections() == 0);
}

TEST_CASE("door: what cannot be had now is told apart from what never can") {
    House house;
    house.refuses_with = ErrorCode::unavailable;
    house.refused_sessions.insert(5);
    CHECK(house.line(house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n")) == "NO the epoch is stale\n");
}

TEST_CASE("door: a ticket lets in once, and its renewal once more each time") {
    House house;
    const auto first_line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    const auto renewal = house.enter(house.knock(first_line));
    CHECK_THAT(house.line(house.knock(first_line)), Catch::StartsWith("VOID this ticket was used"));
    const auto next = house.enter(house.knock("UNDERSTUDY/1 window =" + renewal + "\n"));
    CHECK(next != renewal);
    CHECK_THAT(house.line(house.knock("UNDERSTUDY/1 window =" + renewal + "\n")), Catch::StartsWith("VOID this renewal was used"));
    CHECK_THAT(house.line(house.knock("UNDERSTUDY/1 checkpoint =" + next + "\n")), Catch::Contains("another kind"));
    // Its life is the epoch's, not the ticket's.
    house.wall_ms += 3'600'000;
    const auto last = house.enter(house.knock("UNDERSTUDY/1 window =" + next + "\n"));
    house.refused_sessions.insert(5);
    house.door->recheck();
    CHECK(house.door->book().renewals() == 0);
    house.refused_sessions.clear();
    CHECK_THAT(house.line(house.knock("UNDERSTUDY/1 window =" + last + "\n")), Catch::StartsWith("VOID"));
}

TEST_CASE("door: an answer that was lost costs no ticket, and two who come with one ticket do not both get in") {
    House house;
    const auto first_line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    {
        const auto lost = house.knock(first_line);
        CHECK_THAT(house.line(lost), Catch::StartsWith("OK "));
    }
    const auto one = house.knock(first_line);
    const auto other = house.knock(first_line);
    const auto answer = house.line(other);
    CHECK_THAT(answer, Catch::StartsWith("OK "));
    house.enter(one);
    REQUIRE(::send(other.get(), kDoorGo.data(), kDoorGo.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kDoorGo.size()));
    CHECK(house.is_closed(other));
    CHECK_FALSE(house.door->book().look_at(answer.substr(3, kRenewalBytes)));
    CHECK(house.door->connections() == 1);
}

TEST_CASE("door: who has its answer and does not say GO is sent away after five seconds, and the ticket is not used") {
    House house;
    const auto first_line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    const auto silent = house.knock(first_line);
    CHECK_THAT(house.line(silent), Catch::StartsWith("OK "));
    const auto began = house.loop.now();
    CHECK_FALSE(run_until(house.loop, [&] { return house.door->connections() == 0; }, 4500));
    REQUIRE(run_until(house.loop, [&] { return house.door->connections() == 0; }, 5000));
    CHECK(house.loop.now() - began >= std::chrono::milliseconds(4500));
    CHECK(house.line(silent) == "NO GO did not come in time\n");
    CHECK(house.is_closed(silent));
    CHECK(house.door->book().spent() == 0);
    house.enter(house.knock(first_line));
}

TEST_CASE("door: one ticket has a few places and no more, and keeps nobody else out") {
    House house;
    const auto other = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window, 6) + "\n");
    house.enter(other);
    const auto screen = house.take_screen_connection();
    const auto first_line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    std::vector<Descriptor> many;
    for (std::size_t at = 0; at < 3 * Door::kPerTicket; ++at) {
        many.push_back(house.knock(first_line));
        CHECK_THAT(house.line(many.back()), Catch::StartsWith("OK "));
        CHECK(house.door->connections() <= Door::kPerTicket + 1);
    }
    CHECK(house.is_closed(many.front()));
    REQUIRE(::send(screen.get(), "picture", 7, 0) == 7);
    CHECK(house.read(other, 7) == "picture");
}

TEST_CASE("door: a flood of guests without a ticket is bounded and keeps nobody else out") {
    House house;
    const auto window = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n");
    house.enter(window);
    const auto screen = house.take_screen_connection();
    std::vector<Descriptor> flood;
    for (int at = 0; at < 600; ++at) {
        flood.push_back(connect_from(INADDR_LOOPBACK, house.port));
        house.loop.dispatch();
        if (at % 50 == 0) CHECK(house.door->connections() <= Door::kWaitingPerAddress + 1);
    }
    house.enter(house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window, 6) + "\n"));
    REQUIRE(::send(screen.get(), "picture", 7, 0) == 7);
    CHECK(house.read(window, 7) == "picture");
}

TEST_CASE("door: thousands of half-open connections from everywhere are bounded in all, and whoever means it is let in among them") {
    House house;
    const auto window = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n");
    house.enter(window);
    const auto screen = house.take_screen_connection();
    std::vector<Descriptor> flood;
    std::size_t most = 0;
    for (std::uint32_t at = 0; at < 3000; ++at) {
        flood.push_back(connect_from(INADDR_LOOPBACK + (1 + at % 500) * 256, house.port));
        house.loop.dispatch();
        most = std::max(most, house.door->connections());
        if (at % 600 != 599) continue;
        house.enter(house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window, 6) + "\n"));
        REQUIRE(::send(screen.get(), "picture", 7, 0) == 7);
        CHECK(house.read(window, 7) == "picture");
        if (flood.size() > 1000) flood.erase(flood.begin(), flood.begin() + 600);
    }
    CHECK(most <= Door::kWaitingRoom + 6);  // and those that were let in
    CHECK(most > Door::kWaitingRoom / 2);   // it was a flood
}

TEST_CASE("door: a first line of one byte at a time is not waited for longer than five seconds") {
    House house;
    const auto text = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    const auto slow = house.knock(text.substr(0, 1));
    const auto began = house.loop.now();
    std::size_t said = 1;
    REQUIRE(run_until(house.loop, [&] {
        const auto due = 1 + static_cast<std::size_t>((house.loop.now() - began) / std::chrono::milliseconds(200));
        if (said < due) static_cast<void>(::send(slow.get(), &text[said++], 1, MSG_NOSIGNAL | MSG_DONTWAIT));
        return said > 2 && house.door->connections() == 0;
    }, 15'000));
    CHECK(house.loop.now() - began >= std::chrono::milliseconds(4500));
    CHECK(house.loop.now() - began < std::chrono::milliseconds(10'000));
    CHECK(house.line(slow) == "NO no ticket came in time\n");
    CHECK(house.is_closed(slow));
}

TEST_CASE("door: whoever leaves at any point of its line leaves nothing behind, and the ticket is good still") {
    House house;
    const auto text = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    for (std::size_t part = 1; part <= 12; ++part) {  // the last one has all of it, and its answer
        auto guest = house.knock(text.substr(0, text.size() * part / 12));
        // A client that leaves before its TLS stands says nothing; then its pump takes its words, which come before its end.
        REQUIRE(run_until(house.loop, [&] {
            int not_taken = 0;
            return house.door->connections() == 1 && ::ioctl(guest.get(), SIOCOUTQ, &not_taken) == 0 && not_taken == 0;
        }));
        guest.reset();
        REQUIRE(run_until(house.loop, [&] { return house.door->connections() == 0; }, 4000));
    }
    CHECK(house.door->book().spent() == 0);
    house.enter(house.knock(text));
}

TEST_CASE("door: what is not GO, or more than GO, opens nothing and costs no ticket") {
    const auto said = GENERATE(std::string("NO\n"), std::string("GO\nRFB 003.008\n"), std::string(4000, 'G'), std::string("GO \n"));
    House house;
    const auto first_line = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    const auto window = house.knock(first_line);
    CHECK_THAT(house.line(window), Catch::StartsWith("OK "));
    REQUIRE(::send(window.get(), said.data(), said.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(said.size()));
    CHECK(house.line(window) == "VOID GO was expected\n");
    CHECK(house.is_closed(window));
    CHECK(house.door->connections() == 0);
    CHECK(house.door->book().spent() == 0);
    house.enter(house.knock(first_line));
}

TEST_CASE("door: what is said in the clear is not heard") {
    House house;
    const auto raw = connect_from(INADDR_LOOPBACK, house.port);
    REQUIRE(run_until(house.loop, [&] {
        pollfd ready{raw.get(), POLLOUT, 0};
        return ::poll(&ready, 1, 0) == 1;
    }));
    const auto text = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    REQUIRE(::send(raw.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    CHECK(house.is_closed(raw));
    CHECK(house.door->book().spent() == 0);
}

TEST_CASE("door: a line that comes in pieces is understood") {
    House house;
    const auto text = "UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n";
    const auto window = house.knock(text.substr(0, 10));
    for (std::size_t at = 10; at < text.size(); at += 40) {
        house.loop.dispatch();
        const auto part = text.substr(at, 40);
        REQUIRE(::send(window.get(), part.data(), part.size(), 0) == static_cast<ssize_t>(part.size()));
    }
    house.enter(window);
}

TEST_CASE("door: streams that became stale are cut, the others are not") {
    House house;
    const auto stale = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window, 5) + "\n");
    const auto sound = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window, 6) + "\n");
    house.enter(stale);
    house.enter(sound);
    house.refused_sessions.insert(5);
    house.door->recheck();
    CHECK(house.is_closed(stale));
    CHECK(house.door->connections() == 1);
    house.door->cut_all();
    CHECK(house.is_closed(sound));
}

TEST_CASE("door: a window waits while its screen can't take it, and is let in then") {
    House house;
    house.screen_takes = false;
    const auto window = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n");
    REQUIRE(run_until(house.loop, [&] { return house.door->connections() == 1; }));
    for (int turn = 0; turn < 20; ++turn) house.loop.dispatch();
    house.door->retry_held(SessionId(5));
    char next = 0;
    CHECK(::recv(window.get(), &next, 1, MSG_DONTWAIT) < 0);
    CHECK(errno == EAGAIN);
    house.screen_takes = true;
    house.door->retry_held(SessionId(5));
    house.enter(window);
}

TEST_CASE("door: a window of a session that is just coming up waits; one that may not stay is sent away") {
    House house;
    house.refused_sessions.insert(5);
    house.comes_up = true;
    const auto window = house.knock("UNDERSTUDY/1 window " + house.ticket(Purpose::window) + "\n");
    REQUIRE(run_until(house.loop, [&] { return house.door->connections() == 1; }));
    for (int turn = 0; turn < 20; ++turn) house.loop.dispatch();
    CHECK(house.door->connections() == 1);
    SECTION("it came up") {
        house.refused_sessions.clear();
        house.door->retry_held(SessionId(5));
        house.enter(window);
    }
    SECTION("it did not") {
        house.comes_up = false;
        house.door->recheck();
        CHECK(house.is_closed(window));
    }
}

TEST_CASE("door: the end of a screen ends its windows, the end of a window its connection") {
    House house;
    const auto window = house.knock("UNDERSTUDY/1 desktop " + house.ticket(Purpose::desktop) + "\n");
    house.enter(window);
    auto screen = house.take_screen_connection();
    screen.reset();
    CHECK(house.is_closed(window));
    auto other = house.knock("UNDERSTUDY/1 desktop " + house.ticket(Purpose::desktop) + "\n");
    house.enter(other);
    const auto other_screen = house.take_screen_connection();
    other.reset();
    CHECK(house.is_closed(other_screen));
}

TEST_CASE("door: a checkpoint stream is handed over, and cut when it is stale") {
    House house;
    const auto primary = house.knock("UNDERSTUDY/1 checkpoint " + house.ticket(Purpose::checkpoint) + "\n");
    house.enter(primary);
    REQUIRE(house.checkpoints.size() == 1);
    house.refused_sessions.insert(5);
    house.door->recheck();
    CHECK(house.is_closed(primary));
}

TEST_CASE("splice: eight megabytes pass a slow reader unchanged and in order") {
    Loop loop;
    auto [left_far, left] = socket_pair(SOCK_NONBLOCK);
    auto [right_far, right] = socket_pair(SOCK_NONBLOCK);
    bool over = false;
    SplicedPair pair(loop, std::move(left), std::move(right), [&] { over = true; });
    std::string sent(8'000'000, '\0');
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>((i * 2654435761U) >> 13U);
    std::string received;
    std::size_t written = 0;
    REQUIRE(run_until(loop, [&] {
        if (written < sent.size()) {
            const auto part = ::send(left_far.get(), sent.data() + written, std::min<std::size_t>(sent.size() - written, 100'000), MSG_DONTWAIT);
            if (part > 0) written += static_cast<std::size_t>(part);
            if (written == sent.size()) ::shutdown(left_far.get(), SHUT_WR);
        }
        char block[30'000];
        const auto got = ::recv(right_far.get(), block, sizeof block, MSG_DONTWAIT);
        if (got > 0) received.append(block, static_cast<std::size_t>(got));
        if (got == 0) ::shutdown(right_far.get(), SHUT_WR);
        return over;
    }, 60'000));
    CHECK(received == sent);
}
