// How a key takes the place of another: the agent's own code on one side, the manager's router, enrolment and files on the
// other, over loopback.
#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "manager/adapters/config/node_key_files.hpp"
#include "manager/adapters/system/files.hpp"
#include "manager/adapters/wire/router.hpp"
#include "manager/runtime/enrolment.hpp"
#include "nodes/agent/enrol.hpp"
#include "nodes/agent/link.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using node::OwnKeys;

namespace {

const NodeId kNode(5);
constexpr TimePoint kNow{Duration{1'000'000}};

/// The manager's part: what its loop does with keys, and nothing else.
struct Office {
    Office() { begin(); }

    /// As a new manager does.
    void begin(const std::string& listen = "tcp://127.0.0.1:*") {
        keys.reset();
        files.reset();
        router.reset();
        RouterOptions options;
        options.listen = listen;
        options.keys = server;
        router = std::move(Router::open(options).value());
        std::vector<std::string> problems;
        const auto kept = NodeKeyFiles::load_all(folder / "keys", problems);
        CHECK(problems.empty());
        files = std::make_unique<NodeKeyFiles>(folder / "keys", [this](Arrival arrival) { mailbox.push(std::move(arrival)); });
        keys.emplace(*router, *files, [this](LogWeight, const std::string& line) { log += line + "\n"; }, kept);
    }

    bool turn_until(const std::function<bool()>& condition, int turns = 500) {
        for (int turn = 0; turn < turns; ++turn) {
            const std::vector<int> others{mailbox.descriptor()};
            router->wait(std::chrono::milliseconds(20), others);
            for (Arrival& arrival : mailbox.take_all()) {
                if (const auto* kept = std::get_if<KeysKept>(&arrival)) keys->kept(*kept);
            }
            while (auto event = router->take()) {
                if (const auto* offer = std::get_if<KeyOffered>(&*event)) keys->offered(*offer, now);
                else if (const auto* taken = std::get_if<KeyTaken>(&*event)) keys->taken(*taken);
                else if (const auto* said = std::get_if<NodeMessage>(&*event)) heard.push_back(said->from);
                else if (std::holds_alternative<NodeLost>(*event)) ++lost;
            }
            if (condition()) return true;
        }
        return false;
    }

    test::TemporaryDirectory folder;
    CurveKeys server = make_curve_keys();
    Mailbox<Arrival> mailbox;
    std::unique_ptr<Router> router;
    std::unique_ptr<NodeKeyFiles> files;
    std::optional<Enrolment> keys;
    std::string log;
    TimePoint now = kNow;
    std::vector<NodeId> heard;
    int lost = 0;
};

/// The agent's part.
struct Machine {
    Machine(Office& at, const CurveKeys& given) : office(at) {
        config.state_folder = folder / "state";
        config.manager_endpoint = at.router->endpoint();
        config.manager_public_key = at.server.public_key;
        config.public_key = given.public_key;
        config.secret_key = given.secret_key;
        config.one_time_key = true;
    }

    OwnKeys own() const { return OwnKeys::load(config).value(); }

    /// As a start of the agent does it.
    Result<> enrol() {
        OwnKeys keys = own();
        Result<> result;
        std::atomic<bool> done = false;
        std::thread thread([&] {
            result = node::enrol(config, keys, loop, ending);
            done = true;
        });
        const bool ended = office.turn_until([&] { return done.load(); });
        if (!ended) loop.post([this] { ending = true; });
        thread.join();
        CHECK(ended);
        return result;
    }

    std::unique_ptr<node::Link> link(const node::CurvePair& pair) {
        node::Link::Listener listener;
        listener.on_message = [this](const Message& message) { heard.push_back(message); };
        listener.on_change = [this](bool up) { stands = up; };
        listener.on_nonsense = [](const std::string&) {};
        return std::move(node::Link::open(config, pair, 1, std::move(listener)).value());
    }

    /// Says it until the manager has heard it; false: it never does.
    bool speak(node::Link& link, const Message& message, const std::function<bool()>& heard_it, int turns = 100) {
        for (int turn = 0; turn < turns; ++turn) {
            link.wait(-1, 10);
            link.send(message);
            if (office.turn_until(heard_it, 1)) return true;
        }
        return false;
    }

    bool speaks_as_agent(const node::CurvePair& pair, int turns = 100) {
        static_cast<void>(office.turn_until([] { return false; }, 5));  // what an earlier connection said has come
        const auto connection = link(pair);
        const std::size_t before = office.heard.size();
        Hello hello;
        hello.node = kNode;
        return speak(*connection, hello, [&] { return office.heard.size() > before; }, turns);
    }

    Office& office;
    test::TemporaryDirectory folder;
    node::Config config;
    node::Loop loop;
    bool ending = false;
    std::vector<Message> heard;
    bool stands = false;
};

GivenKey one_time(const CurveKeys& keys) { return {keys.public_key, true, kNow + std::chrono::minutes(5)}; }
node::CurvePair pair_of(const CurveKeys& keys) { return {keys.public_key, keys.secret_key}; }

}  // namespace

TEST_CASE("enrolment: with a one-time key a machine names its own, speaks with that, and the one-time key is void") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    REQUIRE(machine.enrol());
    CHECK_FALSE(machine.own().is_given());
    CHECK(machine.own().current().public_key != given.public_key);
    CHECK(machine.speaks_as_agent(machine.own().current()));
    CHECK(office.heard == std::vector<NodeId>(office.heard.size(), kNode));
    const std::uint64_t denied = office.router->figures().denied;
    CHECK_FALSE(machine.speaks_as_agent(pair_of(given), 20));
    CHECK(office.router->figures().denied > denied);
}

TEST_CASE("enrolment: a one-time key may say nothing but the name of a key") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    const auto connection = machine.link(pair_of(given));
    Hello hello;
    hello.node = kNode;
    CHECK(machine.speak(*connection, hello, [&] { return office.router->figures().out_of_role > 0; }));
    CHECK(office.heard.empty());
    CHECK(machine.speak(*connection, AdminRequest{1, "view", {}}, [&] { return office.router->figures().out_of_role > 1; }));
    CHECK_FALSE(machine.speak(*connection, NameKey{"short"}, [&] { return office.heard.size() > 0; }, 5));
    const bool refused = std::any_of(machine.heard.begin(), machine.heard.end(), [](const Message& message) {
        const auto* named = std::get_if<KeyNamed>(&message);
        return named != nullptr && named->public_key == "short" && named->code == static_cast<std::uint32_t>(ErrorCode::refused);
    });
    CHECK(refused);
}

TEST_CASE("enrolment: an answer that was lost costs nothing: the machine says it again, and the same key is taken") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    OwnKeys keys = machine.own();
    const auto next = keys.next(1);
    REQUIRE(next);
    const auto connection = machine.link(pair_of(given));
    REQUIRE(machine.speak(*connection, NameKey{next->public_key}, [&] { return std::filesystem::exists(office.folder / "keys/5.toml"); }));
    // It dies before it has the answer, and its next start goes on with what it had made.
    REQUIRE(machine.enrol());
    CHECK(machine.own().current() == *next);
    CHECK(machine.speaks_as_agent(*next));
}

TEST_CASE("enrolment: somebody else who has seen the one-time key is refused and reported; so is one who is first, by the machine") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine thief(office, given);
    REQUIRE(thief.enrol());
    Machine machine(office, given);
    const auto refused = machine.enrol();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::refused);
    CHECK_THAT(refused.error().message, Catch::Contains("used by somebody else"));
    CHECK_THAT(office.log, Catch::Contains("used by somebody else"));
    // Given a new one, the machine is in and the thief is out.
    const CurveKeys fresh = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(fresh));
    Machine anew(office, fresh);
    REQUIRE(anew.enrol());
    CHECK(anew.speaks_as_agent(anew.own().current()));
    CHECK_FALSE(thief.speaks_as_agent(thief.own().current(), 20));
}

TEST_CASE("enrolment: a one-time key that has expired names nothing, and says so") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    office.now = kNow + std::chrono::minutes(6);
    Machine machine(office, given);
    const auto refused = machine.enrol();
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Catch::Contains("has expired"));
    CHECK(machine.own().is_given());
    CHECK_FALSE(std::filesystem::exists(office.folder / "keys/5.toml"));
}

TEST_CASE("enrolment: what a machine named outlives the manager, whether it has spoken with it or not") {
    const bool spoke = GENERATE(false, true);
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    REQUIRE(machine.enrol());
    if (spoke) REQUIRE(machine.speaks_as_agent(machine.own().current()));
    const std::string endpoint = office.router->endpoint();
    office.begin(endpoint);
    office.keys->give(kNode, "us-5", one_time(given));
    CHECK(machine.speaks_as_agent(machine.own().current()));
    CHECK_FALSE(machine.speaks_as_agent(pair_of(given), 20));
}

TEST_CASE("enrolment: what is kept of another given key lets nobody in") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    REQUIRE(machine.enrol());
    const std::string endpoint = office.router->endpoint();
    office.begin(endpoint);
    office.keys->give(kNode, "us-5", one_time(make_curve_keys()));
    CHECK_FALSE(machine.speaks_as_agent(machine.own().current(), 20));
}

TEST_CASE("enrolment: a key in use is replaced without a loss: the connection under the next one takes over, then the old one ends") {
    Office office;
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    REQUIRE(machine.enrol());
    OwnKeys keys = machine.own();
    const node::CurvePair before = keys.current();
    const auto old = machine.link(before);
    Hello hello;
    hello.node = kNode;
    REQUIRE(machine.speak(*old, hello, [&] { return !office.heard.empty(); }));
    const auto next = keys.next(2);
    REQUIRE(machine.speak(*old, NameKey{next->public_key}, [&] {
        return std::any_of(machine.heard.begin(), machine.heard.end(), [](const Message& m) { return std::holds_alternative<KeyNamed>(m); });
    }));
    REQUIRE(keys.take_next());
    office.heard.clear();
    office.lost = 0;
    CHECK(machine.speaks_as_agent(keys.current()));
    REQUIRE(office.turn_until([&] {
        old->wait(-1, 1);
        return !machine.stands;
    }));
    CHECK(office.router->figures().cut >= 1);
    CHECK_FALSE(machine.speaks_as_agent(before, 20));
    CHECK(machine.own().current() == *next);
}

TEST_CASE("enrolment: a key that cannot be kept is not admitted, and the machine is told to say it again") {
    Office office;
    REQUIRE(write_file(office.folder / "keys", "in the way"));
    const CurveKeys given = make_curve_keys();
    office.keys->give(kNode, "us-5", one_time(given));
    Machine machine(office, given);
    OwnKeys keys = machine.own();
    const auto next = keys.next(1);
    const auto connection = machine.link(pair_of(given));
    const auto told = [&] {
        return std::any_of(machine.heard.begin(), machine.heard.end(), [](const Message& message) {
            const auto* named = std::get_if<KeyNamed>(&message);
            return named != nullptr && named->code == static_cast<std::uint32_t>(ErrorCode::unavailable);
        });
    };
    CHECK(machine.speak(*connection, NameKey{next->public_key}, told));
    CHECK_FALSE(machine.speaks_as_agent(*next, 20));
    std::filesystem::remove(office.folder / "keys");
    CHECK(machine.enrol());
}

TEST_CASE("own keys: kept for the key that was given, readable by root alone, and begun anew with another") {
    test::TemporaryDirectory folder;
    node::Config config;
    config.state_folder = folder / "state";
    config.public_key = "given";
    config.secret_key = "secret";
    OwnKeys keys = OwnKeys::load(config).value();
    CHECK(keys.is_given());
    const auto next = keys.next(7);
    REQUIRE(next);
    CHECK(OwnKeys::load(config)->is_given());
    CHECK(*OwnKeys::load(config)->next(8) == *next);
    REQUIRE(keys.take_next());
    CHECK(OwnKeys::load(config)->current() == *next);
    CHECK(OwnKeys::load(config)->made_wall_ms() == 7);
    const auto mode = std::filesystem::status(folder / "state/agent.keys").permissions();
    CHECK((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) == std::filesystem::perms::none);
    config.public_key = "another";
    CHECK(OwnKeys::load(config)->is_given());
    REQUIRE(write_file(folder / "state/agent.keys", "given = \"another\nhalf"));
    const auto damaged = OwnKeys::load(config);
    REQUIRE_FALSE(damaged);
    CHECK_THAT(damaged.error().message, Catch::Contains("agent.keys:1") && Catch::Contains("new one-time key"));
}
