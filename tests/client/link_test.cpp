// Claims about configuration, keys, the door's handshake and the rules of attaching.
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "client/link/attachment.hpp"
#include "client/link/configuration.hpp"
#include "program.hpp"
#include "protocol/door_line.hpp"

using namespace understudy;
using namespace understudy::client;
using namespace std::chrono_literals;

namespace {

const std::string kKey = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

TimePoint at(Duration since_start) { return TimePoint(1000s + since_start); }

TerminalRedirect redirect(Epoch epoch, std::uint16_t port = 1) {
    return {TerminalId(7), epoch, {"127.0.0.1", port}, {{}, "ticket"}, IncidentId(epoch * 10)};
}

Attachment attached() {
    Attachment attachment("demo", 0, 0);
    attachment.link_up(at(0s));
    static_cast<void>(attachment.due(at(0s)));
    return attachment;
}

}  // namespace

TEST_CASE("configuration: a misspelt option is refused with file, line and option") {
    const auto file = OptionFile::parse("manager = \"tcp://127.0.0.1:1\"\nmanger_key = \"x\"\n", "client.toml");
    REQUIRE(file);
    const auto only = file->only({"manager", "manager_key"});
    REQUIRE_FALSE(only);
    CHECK(only.error().message == "client.toml, line 2: option \"manger_key\" is not known here; check its spelling");
}

TEST_CASE("configuration: a wrong type, a wrong key and a missing option name their place") {
    const auto reading = [](const std::string& text) {
        const auto file = OptionFile::parse(text, "c");
        REQUIRE(file);
        return take_configuration(*file);
    };
    CHECK(reading("\nmanager = 5").error().message.find("c, line 2: option \"manager\"") == 0);
    CHECK(reading("manager = \"127.0.0.1:5\"").error().message.find("tcp://127.0.0.1:7400") != std::string::npos);
    CHECK(reading("manager = \"tcp://h:5\"\nmanager_key = \"short\"").error().message.find("c, line 2: option \"manager_key\" is not a CURVE key") == 0);
    CHECK(reading("manager = \"tcp://h:5\"\nmanager_key = '" + kKey + "'").error().message.find("understudy keys new") != std::string::npos);
}

TEST_CASE("configuration: a file that is no TOML is refused with line and column") {
    const auto file = OptionFile::parse("manager = \n", "c.toml");
    REQUIRE_FALSE(file);
    CHECK(file.error().message.find("c.toml, line 1, column ") == 0);
}

TEST_CASE("keys: a key file is readable by its owner alone, read back, and never overwritten") {
    const test::TemporaryFolder folder;
    const KeyPair keys = make_key_pair();
    REQUIRE(write_key_file(folder.path("k.toml"), keys));
    struct stat status{};
    REQUIRE(::stat(folder.path("k.toml").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(read_key_file(folder.path("k.toml")) == keys);
    CHECK(write_key_file(folder.path("k.toml"), make_key_pair()).error().code == ErrorCode::refused);
    CHECK(read_key_file(folder.path("k.toml")) == keys);
}

TEST_CASE("configuration: a key file is found relative to the file that names it") {
    const test::TemporaryFolder folder;
    const KeyPair keys = make_key_pair();
    REQUIRE(write_key_file(folder.path("my.keys"), keys));
    const auto path = folder.write("client.toml", "manager = 'tcp://127.0.0.1:1'\nmanager_key = '" + kKey + "'\nkey_file = 'my.keys'\n[gateway]\nport = 0\n");
    const auto configuration = load_configuration(path);
    REQUIRE(configuration);
    CHECK(configuration->keys == keys);
}

TEST_CASE("door: the answer may come in pieces, and stream bytes behind it are not eaten") {
    DoorAnswer answer;
    CHECK(answer.take("O") == 1);
    CHECK(answer.state() == DoorAnswer::State::incomplete);
    CHECK(answer.take("K " + std::string(kRenewalBytes, 'r') + "\nRFB") == kRenewalBytes + 3);
    CHECK(answer.state() == DoorAnswer::State::admitted);
    CHECK(answer.renewal() == std::string(kRenewalBytes, 'r'));
}

TEST_CASE("door: a refusal carries its reason; anything unknown or endless is a refusal") {
    DoorAnswer no;
    no.take("NO the ticket is too old\n");
    CHECK(no.state() == DoorAnswer::State::refused);
    CHECK(no.reason() == "the ticket is too old");
    CHECK_FALSE(no.is_void());
    DoorAnswer never;
    never.take("VOID this ticket was used\n");
    CHECK(never.state() == DoorAnswer::State::refused);
    CHECK(never.reason() == "this ticket was used");
    CHECK(never.is_void());
    DoorAnswer unknown;
    unknown.take("RFB 003.008\n");
    CHECK(unknown.state() == DoorAnswer::State::refused);
    DoorAnswer endless;
    for (int i = 0; i < 100; ++i) endless.take(std::string(100, 'x'));
    CHECK(endless.state() == DoorAnswer::State::refused);
}

TEST_CASE("attachment: asks at once when the link comes up, and every two seconds until answered") {
    Attachment attachment("demo", 800, 600);
    CHECK(attachment.due(at(0s)).empty());
    CHECK(attachment.next_wake() == kNever);
    attachment.link_up(at(0s));
    const auto first = attachment.due(at(0s));
    REQUIRE(first.size() == 1);
    CHECK(std::get<TerminalAttach>(first.front()) == TerminalAttach{"demo", 800, 600, 0});
    CHECK(attachment.due(at(1999ms)).empty());
    CHECK(attachment.due(at(2s)).size() == 1);
    CHECK(attachment.take(redirect(3), at(2100ms)) == Attachment::Taken::moved);
    CHECK(attachment.due(at(5s)).empty());
}

TEST_CASE("attachment: an epoch older than one obeyed is refused, whatever happened in between") {
    Attachment attachment = attached();
    CHECK(attachment.take(redirect(3, 30), at(1s)) == Attachment::Taken::moved);
    CHECK(attachment.take(redirect(2, 20), at(2s)) == Attachment::Taken::stale);
    CHECK(attachment.redirect()->endpoint.port == 30);
    attachment.link_down();
    attachment.link_up(at(3s));
    CHECK(attachment.take(redirect(1, 10), at(4s)) == Attachment::Taken::stale);
    CHECK(attachment.accepted() == 3);
}

TEST_CASE("attachment: the same epoch again brings a fresh ticket and no move") {
    Attachment attachment = attached();
    static_cast<void>(attachment.take(redirect(3, 30), at(1s)));
    CHECK(attachment.take(redirect(3, 31), at(2s)) == Attachment::Taken::refreshed);
    CHECK(attachment.redirect()->endpoint.port == 31);
}

TEST_CASE("attachment: says again after a reconnection, with the epoch it has obeyed") {
    Attachment attachment = attached();
    static_cast<void>(attachment.take(redirect(5), at(1s)));
    attachment.link_down();
    CHECK(attachment.due(at(100s)).empty());
    attachment.link_up(at(200s));
    const auto again = attachment.due(at(200s));
    REQUIRE(again.size() == 1);
    CHECK(std::get<TerminalAttach>(again.front()).accepted == 5);
}

TEST_CASE("attachment: waiting is asked again when the manager wants it, within bounds") {
    Attachment attachment = attached();
    CHECK(attachment.take(TerminalWaiting{TerminalId(7), "no room", 3000}, at(0s)) == Attachment::Taken::waiting);
    CHECK(attachment.reason() == "no room");
    CHECK(attachment.next_wake() == at(3s));
    static_cast<void>(attachment.take(TerminalWaiting{TerminalId(7), "no room", 0}, at(0s)));
    CHECK(attachment.next_wake() == at(500ms));
    static_cast<void>(attachment.take(TerminalWaiting{TerminalId(7), "no room", 3600000}, at(0s)));
    CHECK(attachment.next_wake() == at(10s));
}

TEST_CASE("attachment: a broken stream asks soon, and not in a storm") {
    Attachment attachment = attached();
    static_cast<void>(attachment.take(redirect(1), at(100ms)));
    attachment.stream_lost(at(200ms));
    CHECK(attachment.next_wake() == at(500ms));
    CHECK(attachment.due(at(500ms)).size() == 1);
    attachment.stream_lost(at(510ms));
    attachment.stream_lost(at(520ms));
    CHECK(attachment.next_wake() == at(1s));
}

TEST_CASE("attachment: what concerns another terminal is left alone") {
    Attachment attachment = attached();
    static_cast<void>(attachment.take(redirect(1), at(0s)));
    TerminalRedirect other = redirect(9);
    other.terminal = TerminalId(8);
    CHECK(attachment.take(other, at(1s)) == Attachment::Taken::not_ours);
    CHECK(attachment.accepted() == 1);
}

TEST_CASE("attachment: the answer of a manager that lost its records counts under a new number, but no older epoch") {
    Attachment attachment = attached();
    static_cast<void>(attachment.take(redirect(5), at(0s)));
    attachment.link_down();
    attachment.link_up(at(1s));
    REQUIRE(attachment.due(at(1s)).size() == 1);
    TerminalRedirect renamed = redirect(5);
    renamed.terminal = TerminalId(8);
    CHECK(attachment.take(renamed, at(2s)) == Attachment::Taken::not_ours);
    renamed.epoch = 6;
    CHECK(attachment.take(renamed, at(2s)) == Attachment::Taken::moved);
}

TEST_CASE("attachment: what is seen carries the incident of its own epoch only") {
    Attachment attachment = attached();
    CHECK_FALSE(attachment.seen("picture", 1));
    static_cast<void>(attachment.take(redirect(4), at(0s)));
    CHECK(std::get<TerminalSeen>(*attachment.seen("picture", 4)).incident == IncidentId(40));
    CHECK(std::get<TerminalSeen>(*attachment.seen("lost", 3)).incident == IncidentId());
}

TEST_CASE("attachment: a terminal that was opened elsewhere is silent until its person wants it back") {
    Attachment attachment = attached();
    static_cast<void>(attachment.take(redirect(2), at(0s)));
    CHECK(attachment.take(TerminalTaken{TerminalId(8), "not ours"}, at(1s)) == Attachment::Taken::not_ours);
    CHECK(attachment.take(TerminalTaken{TerminalId(7), "opened at another place"}, at(1s)) == Attachment::Taken::elsewhere);
    CHECK(attachment.reason() == "opened at another place");
    attachment.stream_lost(at(2s));
    attachment.link_down();
    attachment.link_up(at(3s));
    CHECK(attachment.due(at(1000s)).empty());
    CHECK(attachment.next_wake() == kNever);
    CHECK(attachment.take(redirect(3), at(4s)) == Attachment::Taken::not_ours);
    CHECK_FALSE(attachment.seen("picture", 2));
    attachment.take_back(at(1001s));
    CHECK(attachment.due(at(1001s)).size() == 1);
    CHECK(attachment.take(redirect(2), at(1002s)) == Attachment::Taken::refreshed);
    CHECK_FALSE(attachment.elsewhere());
}
