// Claims about the order in which records become durable and actions leave.
#include <catch2/catch.hpp>

#include "manager/runtime/dispatcher.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace std::chrono_literals;

namespace {

struct FakeStore : StorePort {
    std::vector<Batch> commits;
    int heads_asked = 0;
    Result<StoreContent> load_all() override { return StoreContent{}; }
    void commit(const Batch& batch) override { commits.push_back(batch); }
    void read_head() override { ++heads_asked; }
};
struct FakeSealer : SealerPort {
    std::string key = "public";
    std::int64_t wall_ms() const override { return 1234; }
    std::string seal(TicketClaims& claims) override { return "sealed " + std::to_string(claims.serial); }
    const std::string& public_key() const override { return key; }
};
struct FakeOutlet : OutletPort {
    std::vector<std::string> log;
    std::vector<Message> messages;
    void send_to_node(NodeId to, const Message& message) override {
        log.push_back("node " + to_string(to) + " " + name_of(message));
        messages.push_back(message);
    }
    void send_to_client(ClientId to, const Message& message) override {
        log.push_back("client " + to_string(to) + " " + name_of(message));
        messages.push_back(message);
    }
    void create(const CreateInstance& action) override { log.push_back("create " + to_string(action.instance)); }
    void resume(const ResumeInstance& action) override { log.push_back("resume " + to_string(action.instance)); }
    void scrub(const ScrubInstance& action) override { log.push_back("scrub " + to_string(action.instance)); }
    void deploy(const DeployEnvironment& action) override { log.push_back("deploy " + action.environment + " " + to_string(action.instance)); }
    void destroy(const DestroyInstance& action) override { log.push_back("destroy " + to_string(action.instance)); }
    void list(const ListInstances& action) override { log.push_back("list " + to_string(action.host)); }
    void fence(const FenceHost& action) override { log.push_back("fence " + to_string(action.host)); }
    void note(const Note& action) override { log.push_back("note " + action.text); }
};

using Log = std::vector<std::string>;

struct DispatcherBench {
    FakeStore store;
    FakeSealer sealer;
    FakeOutlet outlet;
    Dispatcher dispatcher{DispatcherSettings{}, StoreHead{10, 1}, 77, store, sealer, outlet};
    TimePoint now = TimePoint{} + 1s;

    static Action create(std::uint64_t instance) {
        CreateInstance action;
        action.instance = NodeId{instance};
        return action;
    }
    void step(std::vector<Write> writes, std::vector<Action> after) {
        dispatcher.accept(now, Step{std::move(writes), {}, std::move(after), kNever});
    }
    void answer(CommitOutcome outcome) {
        dispatcher.commit_answered(now, CommitAnswer{store.commits.back().next, outcome, "disk full"});
    }
    void pass(Duration time) {
        now += time;
        dispatcher.woken(now);
    }
};

}  // namespace

TEST_CASE("dispatcher: a dependent action waits for its own and every earlier record, in order") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {DispatcherBench::create(1)});
    bench.step({}, {DispatcherBench::create(2)});
    bench.step({{"b", {2}}}, {DispatcherBench::create(3)});
    CHECK(bench.outlet.log.empty());
    REQUIRE(bench.store.commits.size() == 1);
    CHECK(bench.store.commits[0].guard == StoreHead{10, 1});
    CHECK(bench.store.commits[0].next == StoreHead{11, 77});
    bench.answer(CommitOutcome::committed);
    CHECK(bench.outlet.log == Log{"create 1", "create 2"});
    REQUIRE(bench.store.commits.size() == 2);
    CHECK(bench.store.commits[1].guard == StoreHead{11, 77});
    bench.answer(CommitOutcome::committed);
    CHECK(bench.outlet.log == Log{"create 1", "create 2", "create 3"});
    CHECK(bench.dispatcher.quiet());
    bench.step({}, {DispatcherBench::create(4)});
    CHECK(bench.outlet.log.back() == "create 4");
}

TEST_CASE("dispatcher: of what waits for the same commit, words leave before the work of hypervisors; each kind keeps its order") {
    DispatcherBench bench;
    const Action fence = FenceHost{OperationId{1}, HostId{7}};
    bench.step({{"a", {1}}}, {DispatcherBench::create(1), SendToNode{NodeId{5}, Welcome{}}, DispatcherBench::create(2), fence, SendToClient{ClientId{6}, TerminalWaiting{}}});
    bench.step({}, {SendToNode{NodeId{4}, Welcome{}}});
    bench.answer(CommitOutcome::committed);
    CHECK(bench.outlet.log == Log{"node 5 Welcome", "fence 7", "client 6 TerminalWaiting", "node 4 Welcome", "create 1", "create 2"});
    CHECK(bench.dispatcher.figures().waiting_actions == 0);
}

TEST_CASE("dispatcher: independent actions leave at once") {
    DispatcherBench bench;
    bench.dispatcher.accept(bench.now, Step{{{"a", {1}}}, {Note{Note::Weight::notice, {}, "x"}}, {}, kNever});
    CHECK(bench.outlet.log == Log{"note x"});
}

TEST_CASE("dispatcher: batches that wait are merged, the newest value of a key wins") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {});
    bench.step({{"b", {1}}, {"c", {1}}}, {});
    bench.step({{"b", {2}}}, {});
    bench.answer(CommitOutcome::committed);
    REQUIRE(bench.store.commits.size() == 2);
    CHECK(bench.store.commits[1].writes == std::vector<Write>{{"b", {2}}, {"c", {1}}});
}

TEST_CASE("dispatcher: a failed batch is tried again, unchanged, with growing pauses, and the core hears of it") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {DispatcherBench::create(1)});
    bench.answer(CommitOutcome::failed);
    CHECK_FALSE(bench.dispatcher.take_event().has_value());
    bench.step({{"a", {2}}}, {});
    bench.pass(20ms);
    REQUIRE(bench.store.commits.size() == 2);
    CHECK(bench.store.commits[1].writes == bench.store.commits[0].writes);
    CHECK(bench.store.commits[1].next == bench.store.commits[0].next);
    bench.answer(CommitOutcome::failed);
    const auto told = bench.dispatcher.take_event();
    REQUIRE(told.has_value());
    CHECK(std::get<StoreState>(*told).failing);
    CHECK(bench.dispatcher.wake_at() == bench.now + 40ms);
    bench.pass(40ms);
    bench.answer(CommitOutcome::committed);
    CHECK(bench.outlet.log == Log{"create 1"});
    const auto recovered = bench.dispatcher.take_event();
    REQUIRE(recovered.has_value());
    CHECK_FALSE(std::get<StoreState>(*recovered).failing);
}

TEST_CASE("dispatcher: an unknown outcome is neither success nor failure until the head was read") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {DispatcherBench::create(1)});
    bench.answer(CommitOutcome::unknown);
    CHECK(bench.outlet.log.empty());
    REQUIRE(bench.store.heads_asked == 1);
    SECTION("it arrived") {
        bench.dispatcher.head_answered(bench.now, StoreHead{11, 77});
        CHECK(bench.outlet.log == Log{"create 1"});
        CHECK(bench.store.commits.size() == 1);
    }
    SECTION("it did not arrive: the same batch is tried again") {
        bench.dispatcher.head_answered(bench.now, StoreHead{10, 1});
        bench.pass(1s);
        REQUIRE(bench.store.commits.size() == 2);
        CHECK(bench.store.commits[1].next == bench.store.commits[0].next);
        SECTION("and an earlier try that arrives late is recognised as our own") {
            bench.answer(CommitOutcome::conflict);
            bench.dispatcher.head_answered(bench.now, StoreHead{11, 77});
            CHECK(bench.outlet.log == Log{"create 1"});
        }
    }
    SECTION("the head cannot be read: it is asked again") {
        bench.dispatcher.head_answered(bench.now, failure(ErrorCode::unavailable, "gone"));
        bench.pass(1s);
        CHECK(bench.store.heads_asked == 2);
        CHECK(bench.store.commits.size() == 1);
    }
    SECTION("somebody else wrote: fatal, nothing leaves any more") {
        bench.dispatcher.head_answered(bench.now, StoreHead{11, 78});
        REQUIRE(bench.dispatcher.fatal().has_value());
        CHECK(bench.dispatcher.fatal()->message.find("another manager owns this store") != std::string::npos);
        bench.step({}, {DispatcherBench::create(9)});
        CHECK(bench.outlet.log.empty());
    }
}

TEST_CASE("dispatcher: a store that does not answer is told to the core once") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {});
    CHECK(bench.dispatcher.wake_at() == bench.now + 3s);
    bench.pass(3s);
    CHECK(bench.dispatcher.take_event().has_value());
    bench.pass(3s);
    CHECK_FALSE(bench.dispatcher.take_event().has_value());
}

TEST_CASE("dispatcher: a waiting assignment gives way to a newer one for the same subject, so queues stay bounded") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {});
    for (std::uint64_t revision = 1; revision <= 20000; ++revision) {
        AssignSession assign;
        assign.session = SessionId{revision % 2 + 1};
        assign.revision = revision;
        bench.step({}, {SendToNode{NodeId{5}, assign}});
    }
    CHECK(bench.dispatcher.figures().waiting_actions == 2);
    for (std::uint64_t registration = 1; registration <= 5000; ++registration) {
        Welcome welcome;
        welcome.registration = registration;
        bench.step({}, {SendToNode{NodeId{6}, welcome}});
        CreateInstance create;
        create.instance = NodeId{7};
        create.operation = OperationId{registration};
        bench.step({}, {create});
    }
    CHECK(bench.dispatcher.figures().waiting_actions == 4);
    bench.answer(CommitOutcome::committed);
    REQUIRE(bench.outlet.messages.size() == 3);
    CHECK(std::get<Welcome>(bench.outlet.messages[2]).registration == 5000);
    CHECK(std::get<AssignSession>(bench.outlet.messages[0]).revision == 19999);
    CHECK(std::get<AssignSession>(bench.outlet.messages[1]).revision == 20000);
    CHECK(bench.dispatcher.figures().waiting_actions == 0);
}

TEST_CASE("dispatcher: tickets are sealed and the verifying key added at the moment of sending") {
    DispatcherBench bench;
    AssignDesktop desktop;
    desktop.windows.resize(2);
    desktop.windows[0].ticket.claims.door = NodeId{4};
    desktop.windows[0].ticket.claims.serial = 12;
    bench.step({}, {SendToNode{NodeId{5}, desktop}, SendToNode{NodeId{5}, Welcome{}}});
    CHECK(std::get<AssignDesktop>(bench.outlet.messages[0]).windows[0].ticket.text == "sealed 12");
    CHECK(std::get<AssignDesktop>(bench.outlet.messages[0]).windows[1].ticket.text.empty());
    CHECK(std::get<Welcome>(bench.outlet.messages[1]).ticket_key == "public");
    CHECK(std::get<Welcome>(bench.outlet.messages[1]).wall_ms == 1234);
}

TEST_CASE("dispatcher: an Echo comes back when everything before it is durable") {
    DispatcherBench bench;
    bench.step({{"a", {1}}}, {Echo{IncidentId{6}}});
    CHECK_FALSE(bench.dispatcher.take_event().has_value());
    bench.answer(CommitOutcome::committed);
    const auto event = bench.dispatcher.take_event();
    REQUIRE(event.has_value());
    CHECK(std::get<Echoed>(*event).incident == IncidentId{6});
}
