// What the configuration file is held to, and what is said about a wrong one.
#include <catch2/catch.hpp>

#include "manager/adapters/config/configuration.hpp"
#include "manager/adapters/config/state_directory.hpp"
#include "manager/adapters/system/files.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using understudy::test::TemporaryDirectory;

namespace {

constexpr const char* kGood = R"([manager]
state_dir = "state"
[timing]
heartbeat_ms = 500
silence_ms = 1500
[instances]
image_dir = "image"
agent_image = "/opt/agent.img"
door_ports = [45000, 45010]
[[host]]
name = "alpha"
vcpus = 4
memory_mib = 4096
[[pool]]
flavour = "small"
min_idle = 2
[[profile]]
name = "office"
flavour = "small"
separation = "domain"
[[profile.application]]
name = "xterm"
command = ["xterm", "-ls"]
protection = "restart"
[[terminal]]
name = "desk-1"
profile = "office"
[[peer]]
name = "desk-1"
role = "terminal"
key = "a#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F"
)";

std::string complaint_about(const std::string& text) {
    const auto configuration = parse_configuration(text, "/etc/u/m.toml");
    REQUIRE_FALSE(configuration);
    CHECK(configuration.error().code == ErrorCode::invalid);
    return configuration.error().message;
}

std::string changed(const std::string& from, const std::string& to) {
    std::string text = kGood;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("configuration: a good one is read as written, paths relative to its directory") {
    const auto configuration = parse_configuration(kGood, "/etc/u/m.toml");
    INFO((configuration ? std::string() : configuration.error().message));
    REQUIRE(configuration);
    CHECK(configuration->manager.state_dir == "/etc/u/state");
    CHECK(configuration->instances.image_dir == "/etc/u/image");
    CHECK(configuration->instances.agent_image == "/opt/agent.img");
    CHECK(configuration->instances.first_door_port == 45000);
    CHECK(configuration->instances.guest_filter);
    CHECK(configuration->settings.heartbeat == std::chrono::milliseconds(500));
    CHECK(configuration->hosts.at(0).record.uri == "qemu:///embed?root=/etc/u/state/qemu");
    CHECK(configuration->pools.at(0).max_idle >= 2);
    CHECK(configuration->profiles.at(0).separation == Separation::domain);
    CHECK(configuration->profiles.at(0).applications.at(0).application.command.size() == 2);
    CHECK(configuration->profiles.at(0).applications.at(0).protection == Protection::restart);
    CHECK(configuration->peers.at(0).identity.terminals == std::vector<std::string>{"desk-1"});
    CHECK(configuration->peers.at(0).keys == std::vector<std::string>{"a#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F"});
}

TEST_CASE("configuration: a peer may have several keys, each of them once") {
    const std::string kFirst = "a#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F";
    const std::string kSecond = "b#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F";
    const auto with = [&](const std::string& keys) { return changed("key = \"" + kFirst + "\"", keys); };
    const auto both = parse_configuration(with("keys = [\"" + kFirst + "\", \"" + kSecond + "\"]"), "/etc/u/m.toml");
    REQUIRE(both);
    CHECK(both->peers.at(0).keys == std::vector<std::string>{kFirst, kSecond});
    CHECK_THAT(complaint_about(with("keys = [\"" + kFirst + "\", \"" + kFirst + "\"]")), Catch::Contains("[[peer]] keys is used twice"));
    CHECK_THAT(complaint_about(with("keys = []")), Catch::Contains("[[peer]] keys must name at least one"));
    CHECK_THAT(complaint_about(with("keys = [\"short\"]")), Catch::Contains("[[peer]] keys must be a public CURVE key"));
    CHECK_THAT(complaint_about(with("keys = [\"" + kSecond + "\"]\nkey = \"" + kFirst + "\"")), Catch::Contains("must not both be given"));
}

TEST_CASE("configuration: a machine may be given a one-time key with its last moment, and nothing else beside it") {
    const std::string kKey = "a#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F";
    const auto with = [&](const std::string& lines) {
        return kGood + ("\n[[peer]]\nname = \"attic\"\nrole = \"agent\"\nhost = \"alpha\"\ndoor = \"192.0.2.7:5900\"\n" + lines);
    };
    const std::string fresh = "one_time_key = \"b#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F\"\n";
    const auto good = parse_configuration(with(fresh + "valid_until = 2026-12-24T19:00:00+01:00\n"), "/etc/u/m.toml");
    INFO((good ? std::string() : good.error().message));
    REQUIRE(good);
    CHECK(good->peers.back().one_time_key == "b#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F");
    CHECK(good->peers.back().until_wall_ms == 1'798'135'200'000);
    CHECK(good->peers.back().keys.empty());
    CHECK_THAT(complaint_about(with(fresh)), Catch::Contains("valid_until must be a moment"));
    CHECK_THAT(complaint_about(with(fresh + "valid_until = \"soon\"\n")), Catch::Contains("valid_until must be a moment"));
    CHECK_THAT(complaint_about(with(fresh + "valid_until = 2026-12-24T18:00:00\n")), Catch::Contains("valid_until must be a moment"));
    CHECK_THAT(complaint_about(with(fresh + "valid_until = 2026-12-24T18:00:00Z\nkey = \"c#cvDQ<@A4GgolY7[5dc9<CE{E%3c[>22AyI-d.F\"\n")),
               Catch::Contains("must not both be given"));
    CHECK_THAT(complaint_about(with("one_time_key = \"" + kKey + "\"\nvalid_until = 2026-12-24T18:00:00Z\n")), Catch::Contains("is used twice"));
}

TEST_CASE("configuration: a complaint names file, line, option and what is allowed") {
    const auto check = [](const std::string& from, const std::string& to, const std::string& where, const std::string& allowed) {
        const std::string complaint = complaint_about(changed(from, to));
        INFO(complaint);
        CHECK_THAT(complaint, Catch::Contains(where) && Catch::Contains(allowed));
    };
    check("heartbeat_ms = 500", "heartbeat_ms = 1", "/etc/u/m.toml:4: [timing] heartbeat_ms", "from 10 to");
    check("heartbeat_ms = 500", "heartbeat_ms = \"a\"", "/etc/u/m.toml:4: [timing] heartbeat_ms", "whole number");
    check("separation = \"domain\"", "separation = \"rack\"", "/etc/u/m.toml:20: [[profile]] separation", "instance, host, domain");
    check("silence_ms = 1500", "silence_ms = 1200\ngate_collect_ms = 700", "/etc/u/m.toml:6: [timing] gate_collect_ms", "shorter than silence_ms less heartbeat_ms");
    check("vcpus = 4", "vcpu = 4", "/etc/u/m.toml:12: [[host]] vcpu is not known", "memory_mib");
    check("vcpus = 4\n", "", "/etc/u/m.toml:10: [[host]] vcpus is missing", "how much");
    check("profile = \"office\"", "profile = \"ofice\"", "/etc/u/m.toml:27: [[terminal]] profile", "office");
    check("key = \"a#", "key = \"\\u00e4#", "[[peer]] key", "Z85");
    check("[45000, 45010]", "[45010, 45000]", "/etc/u/m.toml:9: [instances] door_ports", "first and the last");
    check("door_ports", "guest_filter = \"yes\"\ndoor_ports", "/etc/u/m.toml:9: [instances] guest_filter", "on, off");
    check("role = \"terminal\"", "role = \"king\"", "/etc/u/m.toml:30: [[peer]] role", "operator, terminal, gateway, agent");
    check("min_idle = 2", "min_paused = 3\nmax_paused = 2", "/etc/u/m.toml:16: [[pool]] min_paused", "not be more than max_paused");
    check("min_idle = 2", "min_idle = 3\nmin_paused = 3\nmax_total = 5", "[[pool]] min_paused", "together");
    check("min_idle = 2", "vcpus = 8", "/etc/u/m.toml:15: [[pool]] flavour fits on no [[host]]", "alpha has 4 vCPUs, one instance takes 8");
    check("min_idle = 2", "labels = [\"gpu\"]", "[[pool]] flavour fits on no [[host]]", "alpha has no label \"gpu\"");
    check("min_idle = 2", "policy = \"pile\"", "/etc/u/m.toml:16: [[pool]] policy", "spread, pack");
    check("min_idle = 2", "environment = \"games\"", "/etc/u/m.toml:16: [[pool]] environment", "names no [[environment]]");
    check("protection = \"restart\"", "environment = \"games\"", "[[profile.application]] environment", "names no [[environment]]");
    check("vcpus = 4", "uri = \"alpha.example\"\nvcpus = 4", "/etc/u/m.toml:12: [[host]] uri", "qemu:///system");
    check("vcpus = 4", "labels = [\"two words\"]\nvcpus = 4", "[[host]] labels", "without blanks");
    check("[[pool]]", "[[environment]]\nname = \"a\"\nfile = \"/nowhere/a.img\"\n[[pool]]", "[[environment]] file", "No such file");
    check("[manager]", "[manager", "/etc/u/m.toml:1", "column");
}

TEST_CASE("configuration: the sample is valid, and so is every default it shows") {
    auto sample = read_file(std::string(SOURCE_DIRECTORY) + "/config/understudyd.toml");
    REQUIRE(sample);
    const std::string images = "/var/cache/understudy/image";  // it may be in the making just now
    REQUIRE(sample->find(images) != std::string::npos);
    sample->replace(sample->find(images), images.size(), "/nowhere");
    std::string shown;
    for (std::size_t at = 0; at < sample->size();) {
        const std::size_t end = sample->find('\n', at);
        std::string line = sample->substr(at, end - at);
        at = end + 1;
        if (line.starts_with("#[[peer]]")) break;  // what follows is about one machine of somebody else's
        if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.erase(0, 1);
        shown += line + "\n";
    }
    shown += sample->substr(sample->find("[timing]"));
    for (const std::string& text : {*sample, shown}) {
        const auto configuration = parse_configuration(text, "/etc/understudyd.toml");
        INFO((configuration ? std::string() : configuration.error().message));
        CHECK(configuration);
    }
}

TEST_CASE("configuration: images are looked for where the file says, environments are files that are there") {
    const TemporaryDirectory parent;
    REQUIRE(write_file(parent / "office.img", "bundle"));
    std::filesystem::create_directory(parent / "image");
    REQUIRE(write_file(parent / "image/base.img", "disk"));
    std::string text = changed("[[pool]]\n", "[[environment]]\nname = \"office\"\nfile = \"office.img\"\n[[pool]]\nenvironment = \"office\"\n");
    const auto good = parse_configuration(text, parent / "m.toml");
    INFO((good ? std::string() : good.error().message));
    REQUIRE(good);
    CHECK(good->environments.at(0).file == parent / "office.img");
    CHECK(good->environments.at(0).record.bytes == 6);
    CHECK(good->pools.at(0).environment == "office");
    text.replace(text.find("environment = "), 0, "image = \"windows\"\n");
    const auto bad = parse_configuration(text, parent / "m.toml");
    REQUIRE_FALSE(bad);
    CHECK_THAT(bad.error().message, Catch::Contains("[[pool]] image names no guest image") && Catch::Contains("windows.img"));
    // Where people are served already the manager comes back all the same.
    std::filesystem::create_directory(parent / "state");
    REQUIRE(write_file(parent / "state/store.db", "records"));
    const auto back = parse_configuration(text, parent / "m.toml");
    INFO((back ? std::string() : back.error().message));
    CHECK(back);
}

TEST_CASE("configuration: every complaint is listed, not only the first") {
    const std::string complaint = complaint_about("[manager]\nlisten = 5\n[timing]\ntick_ms = 0\n");
    CHECK_THAT(complaint, Catch::Contains("listen") && Catch::Contains("state_dir") && Catch::Contains("tick_ms"));
}

TEST_CASE("configuration: a root too long for Unix sockets is refused before anything is started") {
    const std::string complaint = complaint_about(changed("[instances]\n", "[instances]\nroot = \"/" + std::string(80, 'x') + "\"\n"));
    CHECK_THAT(complaint, Catch::Contains("[instances] root") && Catch::Contains("too long"));
}

TEST_CASE("configuration: a file that is not there says how to name one") {
    const auto configuration = load_configuration("/nowhere/m.toml");
    REQUIRE_FALSE(configuration);
    CHECK_THAT(configuration.error().message, Catch::Contains("/nowhere/m.toml") && Catch::Contains("--config"));
}

TEST_CASE("state directory: made once, kept for ever, readable by its owner alone") {
    const TemporaryDirectory parent;
    const auto made = make_state_directory(parent / "state");
    REQUIRE(made);
    const auto again = make_state_directory(parent / "state");
    REQUIRE(again);
    CHECK(again->keys == made->keys);
    CHECK(again->cluster == made->cluster);
    for (const char* name : {"manager.keys", "ticket.keys", "cluster.id"}) {
        const auto rights = std::filesystem::status(parent / ("state/" + std::string(name))).permissions();
        CHECK((rights & std::filesystem::perms::mask) == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
    }
}

TEST_CASE("state directory: a missing one says how to make it, a damaged key is refused at start") {
    const TemporaryDirectory parent;
    const auto missing = load_state_directory(parent / "none");
    REQUIRE_FALSE(missing);
    CHECK_THAT(missing.error().message, Catch::Contains("understudyd init --dir"));
    const auto made = make_state_directory(parent / "state");
    REQUIRE(made);
    REQUIRE(write_file(parent / "state/ticket.keys", "public_key = \"AAAA\"\nsecret_key = \"AAAA\"\n"));
    const auto damaged = load_state_directory(parent / "state");
    REQUIRE_FALSE(damaged);
    CHECK(damaged.error().code == ErrorCode::damaged);
}

TEST_CASE("files: a lock has one holder, and replacing a file leaves no draft") {
    const TemporaryDirectory parent;
    const auto first = lock_file(parent / "lock");
    REQUIRE(first);
    CHECK_FALSE(lock_file(parent / "lock"));
    REQUIRE(write_file(parent / "a", "one"));
    REQUIRE(write_file(parent / "a", "two"));
    CHECK(*read_file(parent / "a") == "two");
    CHECK_FALSE(std::filesystem::exists(parent / "a.new"));
    CHECK_FALSE(write_file(parent / "no/such/a", "x"));
}
