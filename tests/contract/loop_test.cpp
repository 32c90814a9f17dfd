// The loop with a store and a hypervisor in memory: what it tells the core, what it answers, and how it
// notices processes that end.
#include <catch2/catch.hpp>

#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <deque>

#include "manager/adapters/config/state_directory.hpp"
#include "manager/adapters/hypervisor/hypervisor_workers.hpp"
#include "manager/adapters/hypervisor/memory_hypervisor.hpp"
#include "manager/adapters/store/memory_store.hpp"
#include "manager/adapters/store/store_worker.hpp"
#include "manager/runtime/host_uri.hpp"
#include "manager/runtime/loop.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

/// Peers that a test speaks for.
class ScriptedPeers : public PeersPort {
  public:
    void wait(std::chrono::milliseconds limit, std::span<const int> others) override {
        std::vector<pollfd> waiting;
        for (const int other : others) waiting.push_back({other, POLLIN, 0});
        ::poll(waiting.data(), waiting.size(), events.empty() ? static_cast<int>(limit.count()) : 0);
    }
    std::optional<PeerEvent> take() override {
        if (events.empty()) return std::nullopt;
        PeerEvent event = std::move(events.front());
        events.pop_front();
        return event;
    }
    void send(NodeId to, const Message& message) override { to_nodes[to].push_back(message); }
    void send(ClientId to, const Message& message) override { to_clients[to].push_back(message); }
    void admit(const std::string& key, const PeerIdentity& identity) override { admitted[key] = identity; }
    void revoke(const std::string& key) override { admitted.erase(key); }
    void set_incarnation(std::uint64_t number) override { incarnation = number; }
    const PeerFigures& figures() const override { return counted; }

    std::deque<PeerEvent> events;
    std::map<NodeId, std::vector<Message>> to_nodes;
    std::map<ClientId, std::vector<Message>> to_clients;
    std::map<std::string, PeerIdentity> admitted;
    std::uint64_t incarnation = 0;
    PeerFigures counted;
};

/// A store whose disk can be pulled out.
class FaultyStore : public RecordStore {
  public:
    explicit FaultyStore(std::atomic<bool>& broken) : broken_(broken) {}
    Result<StoreContent> load() override { return store_.load(); }
    Result<StoreHead> head() override { return store_.head(); }
    CommitAnswer commit(const Batch& batch) override {
        if (broken_) return {batch.next, CommitOutcome::failed, "database or disk is full"};
        return store_.commit(batch);
    }

  private:
    std::atomic<bool>& broken_;
    MemoryStore store_;
};

/// An audit log in memory, whose disk can be full.
class ListedAudit : public AuditPort {
  public:
    explicit ListedAudit(ArrivalSink sink) : sink_(std::move(sink)) {}
    void begin(const AuditEntry& entry) override {
        if (!full) entries.push_back(entry);
        if (!slow) answer(entry.id);
    }
    void end(const AuditResult& result) override { results.push_back(result); }
    void read(ClientId client, std::uint64_t request, std::size_t count) override {
        sink_(AuditRead{client, request, "newest " + std::to_string(count)});
    }
    void answer(const std::string& id) {
        sink_(AuditWritten{id, full ? Result<>(failure(ErrorCode::failed, "cannot write to audit.log: No space left on device")) : Result<>()});
    }

    bool full = false;
    bool slow = false;
    std::vector<AuditEntry> entries;
    std::vector<AuditResult> results;

  private:
    ArrivalSink sink_;
};

/// Keeps keys in memory.
class ListedKeys : public KeyKeeperPort {
  public:
    explicit ListedKeys(ArrivalSink sink) : sink_(std::move(sink)) {}
    void keep(const NodeKeys& keys) override { sink_(KeysKept{keys, {}}); }
    void forget(NodeId node) override { forgotten.push_back(node); }

    std::vector<NodeId> forgotten;

  private:
    ArrivalSink sink_;
};

class FixedSealer : public SealerPort {
  public:
    std::int64_t wall_ms() const override { return 1; }
    std::string seal(TicketClaims&) override { return "sealed"; }
    const std::string& public_key() const override { return key_; }

  private:
    std::string key_ = "key";
};

struct Manager {
    explicit Manager(std::uint32_t min_idle = 1) {
        wishes.emplace_back(DefineHost{{HostId(), "alpha", "memory:///", "alpha", 8, 8192, false, false, false, 0, {}, {}}});
        PoolRecord pool;
        pool.flavour = "small";
        pool.image = "base";
        pool.min_idle = min_idle;
        wishes.emplace_back(DefinePool{pool});
        LoopOptions options;
        options.version = "test";
        options.dispatcher.retry_first = std::chrono::milliseconds(5);
        workers.add_host("alpha", hypervisor);
        auto core = Core::load(settings, {});
        REQUIRE(core);
        loop.emplace(LoopParts{store, sealer, workers, peers, audit, keys, mailbox,
                               [this](LogWeight, const std::string& line) { log.push_back(line); }},
                     options, std::move(*core), StoreHead{});
    }

    void start() { loop->start(wishes); }

    /// Turns until it holds; false after the patience of a slow machine.
    template <class Condition>
    bool turn_until(Condition condition) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > limit) return false;
            loop->turn(std::chrono::milliseconds(20), {});
        }
        return true;
    }

    [[nodiscard]] std::size_t instances() { return hypervisor.list("alpha").value_or(std::vector<ListedInstance>{}).size(); }
    /// The hypervisor's word that it is made was heard: until then an end of it belongs to that work.
    [[nodiscard]] bool has_made(NodeId id) {
        const NodeRecord* node = loop->core().state().nodes.find(id);
        return node != nullptr && node->state == NodeState::booting;
    }
    [[nodiscard]] NodeId first_instance() { return hypervisor.list("alpha")->at(0).id; }

    AdminReply ask(const std::string& verb, std::vector<std::string> arguments) {
        const ClientId client(9);
        peers.to_clients[client].clear();
        peers.events.emplace_back(ClientMessage{client, "me", PeerRole::gateway, AdminRequest{++request, verb, std::move(arguments)}});
        REQUIRE(turn_until([&] { return !peers.to_clients[client].empty(); }));
        const auto reply = std::get<AdminReply>(peers.to_clients[client].front());
        CHECK(reply.request == request);
        return reply;
    }

    Settings settings;
    std::vector<Wish> wishes;
    std::vector<std::string> log;
    std::atomic<bool> broken = false;
    Mailbox<Arrival> mailbox;
    ArrivalSink sink = [this](Arrival arrival) { mailbox.push(std::move(arrival)); };
    ScriptedPeers peers;
    ListedAudit audit{sink};
    ListedKeys keys{sink};
    FixedSealer sealer;
    MemoryHypervisor hypervisor{sink};
    MemoryHypervisor second{sink};  ///< behind hosts that are defined later
    StoreWorker store{std::make_unique<FaultyStore>(broken), sink};
    HypervisorWorkers workers{2, sink};
    std::optional<Loop> loop;
    std::uint64_t request = 0;
};

/// A real process to watch.
struct Child {
    Child() {
        char name[] = "sleep";
        char time[] = "1000";
        char* words[] = {name, time, nullptr};
        REQUIRE(::posix_spawnp(&pid, name, nullptr, nullptr, words, environ) == 0);
        descriptor = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0u)));
        REQUIRE(descriptor);
    }
    ~Child() {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    pid_t pid = -1;
    UniqueFd descriptor;
};

void wait_for(int descriptor) {
    pollfd waiting{descriptor, POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 10000) == 1);
}

}  // namespace

TEST_CASE("loop: what the configuration wants comes about, and the instance's key is admitted for its node alone") {
    Manager manager;
    manager.start();
    CHECK(manager.peers.incarnation == 1);
    REQUIRE(manager.turn_until([&] { return manager.instances() == 1 && !manager.peers.admitted.empty(); }));
    REQUIRE(manager.peers.admitted.size() == 1);
    const PeerIdentity& identity = manager.peers.admitted.begin()->second;
    CHECK(identity.role == PeerRole::agent);
    CHECK(identity.node == manager.first_instance());
}

TEST_CASE("loop: nothing is created before the record of it is durable") {
    Manager manager;
    manager.broken = true;
    manager.start();
    REQUIRE(manager.turn_until([&] { return manager.loop->core().state().store_failing; }));
    CHECK(manager.instances() == 0);
    CHECK_THAT(manager.ask("view", {}).json, Catch::Contains("failing: database or disk is full"));
    manager.broken = false;
    CHECK(manager.turn_until([&] { return manager.instances() == 1; }));
    CHECK(manager.turn_until([&] { return !manager.loop->core().state().store_failing; }));
}

TEST_CASE("loop: an instance that ends is replaced, and its key admits nobody any more") {
    Manager manager;
    manager.start();
    REQUIRE(manager.turn_until([&] { return manager.instances() == 1 && manager.peers.admitted.size() == 1 && manager.has_made(manager.first_instance()); }));
    const std::string key = manager.peers.admitted.begin()->first;
    const NodeId dead = manager.first_instance();
    manager.hypervisor.crash(dead);
    REQUIRE(manager.turn_until([&] { return manager.instances() == 1 && manager.first_instance() != dead; }));
    CHECK(manager.turn_until([&] { return !manager.peers.admitted.contains(key); }));
}

TEST_CASE("loop: a registered agent is welcomed with the key that tickets are signed with") {
    Manager manager;
    manager.start();
    REQUIRE(manager.turn_until([&] { return manager.instances() == 1; }));
    const NodeId node = manager.first_instance();
    REQUIRE(manager.turn_until([&] {
        const NodeRecord* record = manager.loop->core().state().nodes.find(node);
        return record != nullptr && record->state == NodeState::booting;
    }));
    Hello hello;
    hello.node = node;
    hello.incarnation = 3;
    hello.number = 1;
    hello.slots = 4;
    manager.peers.events.emplace_back(NodeMessage{node, hello});
    REQUIRE(manager.turn_until([&] { return !manager.peers.to_nodes[node].empty(); }));
    CHECK(std::get<Welcome>(manager.peers.to_nodes[node].front()).ticket_key == "key");
}

TEST_CASE("loop: a heartbeat from the future is refused, counted and shown, and changes nothing") {
    Manager manager;
    manager.start();
    const auto booting = [&] {
        if (manager.instances() != 1) return false;
        const NodeRecord* record = manager.loop->core().state().nodes.find(manager.first_instance());
        return record != nullptr && record->state == NodeState::booting;
    };
    REQUIRE(manager.turn_until(booting));
    const NodeId node = manager.first_instance();
    auto& told = manager.peers.to_nodes[node];
    const auto say = [&](Message message) {
        told.clear();
        manager.peers.events.emplace_back(NodeMessage{node, std::move(message)});
        REQUIRE(manager.turn_until([&] { return !told.empty(); }));
        return told.front();
    };
    Hello hello;
    hello.node = node;
    hello.incarnation = 3;
    hello.number = 1;
    hello.slots = 4;
    const std::uint64_t registration = std::get<Welcome>(say(hello)).registration;
    CHECK(std::get<HeartbeatAck>(say(Heartbeat{registration, 1, 0, 0})).sequence == 1);
    CHECK(std::get<NotRegistered>(say(Heartbeat{registration + 1000, 2, 0, 0})).registration == registration + 1000);
    CHECK_THAT(manager.ask("view", {}).json, Catch::Contains("\"from_future\":1") && Catch::Contains("\"stale_registration\":0"));
    CHECK(std::get<HeartbeatAck>(say(Heartbeat{registration, 3, 0, 0})).sequence == 3);
}

TEST_CASE("loop: questions are answered with JSON, mistakes with what is allowed") {
    Manager manager(0);
    manager.start();
    const AdminReply view = manager.ask("view", {});
    CHECK(view.code == 0);
    CHECK_THAT(view.json, Catch::Contains("\"hosts\":[{") && Catch::Contains("\"flavour\":\"small\"") && Catch::Contains("\"version\":\"test\""));
    const auto refused = [&](const std::string& verb, std::vector<std::string> arguments, const std::string& why) {
        const AdminReply reply = manager.ask(verb, std::move(arguments));
        CHECK(reply.code == static_cast<std::uint32_t>(ErrorCode::invalid));
        CHECK_THAT(reply.text, Catch::Contains(why));
    };
    refused("explode", {}, "there are: view, watch");
    refused("kill", {"node=5"}, "reason=... is missing");
    refused("kill", {"node=five", "reason=x"}, "node must be a whole number");
    refused("kill", {"node", "reason=x"}, "key=value");
    refused("kill", {"node=5", "reason=x", "force=1"}, "allowed are: dry-run, node, reason");
    refused("failover", {"reason=x"}, "either session=ID or terminal=NAME");
    refused("pool", {"flavour=large", "reason=x"}, "no pool of flavour");
    refused("maintenance", {"host=alpha", "value=maybe", "reason=x"}, "on or off");
    CHECK(manager.ask("kill", {"node=99", "reason=x"}).code == static_cast<std::uint32_t>(ErrorCode::not_found));
    CHECK(manager.ask("incident", {"id=7"}).code == static_cast<std::uint32_t>(ErrorCode::not_found));
}

TEST_CASE("loop: an act is done once and answered once it is durable") {
    Manager manager(0);
    manager.start();
    CHECK(manager.ask("pool", {"flavour=small", "min_idle=2", "reason=more people"}).code == 0);
    CHECK(manager.turn_until([&] { return manager.instances() == 2; }));
}

TEST_CASE("loop: who did what, for whom, why, and what became of it is written down before it is done") {
    Manager manager(0);
    manager.start();
    CHECK(manager.ask("pool", {"flavour=small", "min_idle=2", "reason=more people", "by=anna"}).code == 0);
    REQUIRE(manager.audit.entries.size() == 1);
    const AuditEntry& entry = manager.audit.entries.front();
    CHECK(entry.who == "me");
    CHECK(entry.role == "gateway");
    CHECK(entry.by == "anna");
    CHECK(entry.verb == "pool");
    CHECK(entry.arguments == std::vector<std::string>{"flavour=small", "min_idle=2"});
    CHECK(entry.reason == "more people");
    REQUIRE(manager.audit.results.size() == 1);
    CHECK(manager.audit.results[0].id == entry.id);
    CHECK(manager.audit.results[0].code == 0);
    CHECK(manager.ask("kill", {"node=99", "reason=x"}).code == static_cast<std::uint32_t>(ErrorCode::not_found));
    REQUIRE(manager.audit.results.size() == 2);
    CHECK(manager.audit.results[1].id == manager.audit.entries[1].id);
    CHECK(manager.audit.results[1].code == static_cast<std::uint32_t>(ErrorCode::not_found));
    CHECK_THAT(manager.audit.results[1].text, Catch::Contains("no node 99"));
    // What changes nothing is no act.
    CHECK(manager.ask("pool", {"flavour=small", "min_idle=3", "dry-run=yes"}).code == 0);
    CHECK(manager.ask("view", {}).code == 0);
    CHECK(manager.audit.entries.size() == 2);
    CHECK(manager.ask("audit", {"count=7"}).json == "newest 7");
    CHECK_THAT(manager.ask("pool", {"flavour=small", "reason=x", "by=a", "by=b"}).text, Catch::Contains("by=NAME must be given once"));
}

TEST_CASE("loop: nothing is done before it is written down, and a request said twice meanwhile is one act") {
    Manager manager(0);
    manager.audit.slow = true;
    manager.start();
    const ClientId client(9);
    const ClientMessage said{client, "me", PeerRole::operator_, AdminRequest{5, "pool", {"flavour=small", "min_idle=2", "reason=x"}}};
    manager.peers.events.emplace_back(said);
    manager.peers.events.emplace_back(said);
    REQUIRE(manager.turn_until([&] { return !manager.audit.entries.empty(); }));
    for (int turn = 0; turn < 5; ++turn) manager.loop->turn(std::chrono::milliseconds(5), {});
    CHECK(manager.audit.entries.size() == 1);
    CHECK(manager.peers.to_clients[client].empty());
    CHECK(manager.loop->core().state().pools.find("small")->min_idle == 0);
    manager.audit.answer(manager.audit.entries[0].id);
    REQUIRE(manager.turn_until([&] { return !manager.peers.to_clients[client].empty(); }));
    CHECK(std::get<AdminReply>(manager.peers.to_clients[client].front()).code == 0);
    CHECK(manager.loop->core().state().pools.find("small")->min_idle == 2);
}

TEST_CASE("loop: what can't be written down is refused, except what brings people their work back") {
    Manager manager(0);
    manager.start();
    manager.audit.full = true;
    const AdminReply refused = manager.ask("pool", {"flavour=small", "min_idle=2", "reason=x"});
    CHECK(refused.code == static_cast<std::uint32_t>(ErrorCode::unavailable));
    CHECK_THAT(refused.text, Catch::Contains("can't be recorded, so nothing was done") && Catch::Contains("No space left on device"));
    CHECK(manager.loop->core().state().pools.find("small")->min_idle == 0);
    CHECK_THAT(manager.ask("view", {}).json, Catch::Contains("the audit log can't be written"));
    // The gate is open, and the core says so: the act was carried out.
    CHECK_THAT(manager.ask("override-gate", {"reason=people wait"}).text, Catch::Contains("gate is not closed"));
    CHECK_THAT(manager.log, Catch::VectorContains(std::string("override-gate of \"me\" is carried out without a record of it: people wait")));
    manager.audit.full = false;
    CHECK(manager.ask("pool", {"flavour=small", "min_idle=2", "reason=x"}).code == 0);
    CHECK_THAT(manager.ask("view", {}).json, !Catch::Contains("the audit log can't be written"));
}

TEST_CASE("loop: peers of a configuration that was read again are admitted, changed and revoked while all goes on") {
    Manager manager;
    const ConfiguredPeer anna{{"anna-1"}, {PeerRole::operator_, "anna", {}, {}}, {}};
    const ConfiguredPeer ben{{"ben-1"}, {PeerRole::observer, "ben", {}, {}}, {}};
    manager.start();
    manager.loop->use_peers({anna, ben});
    CHECK(manager.peers.admitted.at("anna-1").name == "anna");
    ConfiguredPeer anna_with_two = anna;
    anna_with_two.keys.push_back("anna-2");
    ConfiguredPeer promoted = ben;
    promoted.identity.role = PeerRole::operator_;
    ConfiguredPeer machine{{"machine-1"}, {PeerRole::agent, "workstation", {}, {}}, EnrolNode{"workstation", "alpha", 4, {"192.0.2.7", 5900}}};
    manager.loop->use_peers({anna_with_two, promoted, machine});
    CHECK(manager.peers.admitted.contains("anna-1"));
    CHECK(manager.peers.admitted.contains("anna-2"));
    CHECK(manager.peers.admitted.at("ben-1").role == PeerRole::operator_);
    CHECK(manager.peers.admitted.at("machine-1").node);
    CHECK_THAT(manager.log, Catch::VectorContains(std::string("the configuration's peers: 2 keys admitted, 1 changed, 0 revoked")));
    manager.loop->refuse_configuration("m.toml:3: [[peer]] key is used twice");
    CHECK(manager.peers.admitted.contains("ben-1"));
    CHECK_THAT(manager.ask("view", {}).json, Catch::Contains("m.toml:3: [[peer]] key is used twice"));
    manager.loop->use_peers({anna_with_two});
    CHECK_FALSE(manager.peers.admitted.contains("ben-1"));
    CHECK_FALSE(manager.peers.admitted.contains("machine-1"));
    CHECK_THAT(manager.ask("view", {}).json, !Catch::Contains("m.toml:3"));
}

TEST_CASE("loop: whoever watches hears of changes, and no more once gone") {
    Manager manager(0);
    manager.start();
    // What the host's own hypervisor says about itself is a change too, and comes first.
    REQUIRE(manager.turn_until([&] { return manager.ask("view", {}).json.find("there are no real machines") != std::string::npos; }));
    manager.ask("watch", {});
    auto& heard = manager.peers.to_clients[ClientId(9)];
    heard.clear();
    HostRecord alpha;
    alpha.id = HostId(1);
    alpha.name = "alpha";
    manager.workers.know_host(alpha);
    manager.sink(AccelerationKnown{"alpha", "kvm", "for the test"});
    REQUIRE(manager.turn_until([&] { return !heard.empty(); }));
    CHECK_THAT(std::get<AdminUpdate>(heard.back()).json, Catch::Contains("\"acceleration\":\"kvm\""));
    manager.peers.events.emplace_back(ClientLost{ClientId(9)});
    manager.loop->turn(std::chrono::milliseconds(0), {});
    heard.clear();
    manager.sink(AccelerationKnown{"alpha", "tcg", "for the test"});
    for (int turn = 0; turn < 20; ++turn) manager.loop->turn(std::chrono::milliseconds(20), {});
    CHECK(heard.empty());
}

TEST_CASE("loop: a hypervisor's words reach the view when creations fail") {
    Manager manager;
    manager.hypervisor.fail_with("no space left on the moon");
    manager.start();
    REQUIRE(manager.turn_until([&] {
        return std::any_of(manager.log.begin(), manager.log.end(), [](const std::string& line) { return line.find("moon") != std::string::npos; });
    }));
    manager.hypervisor.fail_with({});
}

TEST_CASE("process watch: a killed process is noticed at once, with how it ended") {
    ProcessWatch watch;
    Child child;
    watch.add(NodeId(5), child.pid, std::move(child.descriptor));
    CHECK(watch.look().empty());
    const auto before = std::chrono::steady_clock::now();
    ::kill(child.pid, SIGKILL);
    wait_for(watch.descriptor());
    const auto took = std::chrono::steady_clock::now() - before;
    WARN("a killed process was noticed after " << std::chrono::duration_cast<std::chrono::microseconds>(took).count() << " us");
    const auto ended = watch.look();
    REQUIRE(ended.size() == 1);
    const auto ending = watch.confirm(ended[0]);
    REQUIRE(ending);
    CHECK_THAT(ending->cause, Catch::Contains("signal 9"));
    CHECK_FALSE(ending->by_itself);
    CHECK_FALSE(watch.confirm(ended[0]));
    CHECK(watch.look().empty());
}

TEST_CASE("process watch: one that was forgotten, or replaced, before the report was confirmed is not reported") {
    ProcessWatch watch;
    Child first;
    Child second;
    watch.add(NodeId(5), first.pid, std::move(first.descriptor));
    ::kill(first.pid, SIGKILL);
    wait_for(watch.descriptor());
    const auto ended = watch.look();
    REQUIRE(ended.size() == 1);
    watch.remove(NodeId(5));
    watch.add(NodeId(5), second.pid, std::move(second.descriptor));
    CHECK_FALSE(watch.confirm(ended[0]));
    CHECK(watch.look().empty());
}

TEST_CASE("loop: a host is defined from the console only when somebody answers there, and stays with its reason when not") {
    Manager manager;
    MemoryHypervisor& other = manager.second;
    manager.workers.set_opener([&](const HostRecord& host) -> Result<Hypervisor*> {
        if (host.uri == "test:///nobody") return failure(ErrorCode::unavailable, "no route to host");
        return &other;
    });
    manager.start();
    const std::vector<std::string> size{"vcpus=4", "memory_mib=4096"};
    const auto define = [&](const std::string& name, const std::string& uri) {
        return manager.ask("define-host", {"name=" + name, "uri=" + uri, size[0], size[1], "reason=more room"});
    };
    CHECK_THAT(define("beta", "test:///nobody").text, Catch::Contains("nobody answers at test:///nobody") && Catch::Contains("no route to host"));
    other.fail_with("connection refused");
    CHECK_THAT(define("beta", "test:///beta").text, Catch::Contains("connection refused"));
    CHECK(manager.loop->core().state().hosts.rows().size() == 1);
    other.fail_with("");
    CHECK(define("beta", "test:///beta").code == 0);
    CHECK(define("alpha", "test:///other").code == static_cast<std::uint32_t>(ErrorCode::refused));
    CHECK(manager.loop->core().state().hosts.rows().size() == 2);
    REQUIRE(manager.turn_until([&] {
        const auto& state = manager.loop->core().state();
        return state.host_live.at(state.host_names.at("beta")).listed;
    }));
    CHECK(manager.ask("define-pool", {"flavour=wide", "vcpus=16"}).code == static_cast<std::uint32_t>(ErrorCode::invalid));
    CHECK(manager.ask("define-pool", {"flavour=wide", "vcpus=2", "follow_demand=on", "policy=pack", "reason=wide work"}).code == 0);
    CHECK(manager.ask("define-pool", {"flavour=wide", "vcpus=2"}).code != 0);
    CHECK(manager.ask("pool", {"flavour=wide", "max_idle=2", "min_idle=3"}).code == static_cast<std::uint32_t>(ErrorCode::invalid));
    CHECK(manager.ask("remove-pool", {"flavour=wide", "reason=not used"}).code == 0);
    CHECK(manager.ask("remove-host", {"name=beta", "reason=not used"}).code == 0);
}

TEST_CASE("loop: what a host's URI would run, read or send on the manager's machine is refused before anybody looks at it") {
    Manager manager;
    bool opened = false;
    manager.workers.set_opener([&](const HostRecord&) -> Result<Hypervisor*> {
        opened = true;
        return &manager.second;
    });
    manager.start();
    const auto define = [&](const std::string& uri, const std::string& address = "192.0.2.1") {
        return manager.ask("define-host", {"name=beta", "uri=" + uri, "vcpus=4", "memory_mib=4096", "address=" + address, "reason=x"});
    };
    for (const char* uri : {"qemu+ext:///system?command=/tmp/evil", "qemu+ssh://alpha/system?command=/tmp/evil", "qemu+ssh://alpha/system?netcat=/tmp/evil",
                            "qemu+ssh://-oProxyCommand=evil/system", "qemu+ssh://-oProxyCommand=evil@alpha/system", "qemu+ssh://alpha:22;evil/system",
                            "qemu+ssh://alpha$(evil)/system", "qemu+unix:///system?socket=/tmp/evil", "qemu:///embed?root=/etc", "qemu+libssh2://alpha/system?keyfile=/root/.ssh/id",
                            "esx://alpha/", "file:///etc/passwd", "QEMU+EXT:///system", "qemu+ssh://[-oProxy]/system", "qemu+ssh://alpha/system#x", "qemu+ssh://alpha/sys`evil`tem",
                            "qemu", "://", ""}) {
        INFO(uri);
        CHECK(define(uri).code == static_cast<std::uint32_t>(ErrorCode::invalid));
    }
    CHECK(define("test:///default", "-oevil").code == static_cast<std::uint32_t>(ErrorCode::invalid));
    CHECK(define("test:///default", "192.0.2.1;evil").code == static_cast<std::uint32_t>(ErrorCode::invalid));
    CHECK_FALSE(opened);
    CHECK(manager.audit.entries.empty());
    for (const char* uri : {"qemu:///system", "qemu+ssh://root@alpha.example:2222/system", "qemu+tls://[2001:db8::1]:16514/system", "test:///default"}) {
        INFO(uri);
        CHECK(refusal_of_uri(uri).empty());
    }
    CHECK(define("test:///default", "2001:db8::1").code == 0);
    CHECK(opened);
}

TEST_CASE("audited acts: acts whose answer never comes by do not keep others from acting, and the log says so") {
    ListedAudit audit([](Arrival) {});
    AuditedActs acts(audit);
    acts.set_incarnation(3);
    const auto take = [&](std::uint64_t request) {
        const AdminRequest asked{request, "kill", {"node=5", "reason=x"}};
        return acts.take({ClientId(1), "anna", PeerRole::operator_, asked}, asked, {}, Intent{ClientId(1), request, "x", KillInstance{NodeId(5)}}, 7);
    };
    for (std::uint64_t request = 1; request <= 1024; ++request) REQUIRE(take(request) == AuditedActs::Taken::recording);
    CHECK(take(1025) == AuditedActs::Taken::too_many);
    for (std::uint64_t request = 1; request <= 1024; ++request) REQUIRE(acts.recorded("3." + std::to_string(request)));
    CHECK(take(1) == AuditedActs::Taken::known);
    CHECK(take(1025) == AuditedActs::Taken::recording);
    REQUIRE(audit.results.size() == 1);
    CHECK(audit.results[0].id == "3.1");
    CHECK(audit.results[0].code == static_cast<std::uint32_t>(ErrorCode::unknown_outcome));
    acts.answered(ClientId(1), {2, 0, "done", {}}, 8);
    CHECK(audit.results.at(1).id == "3.2");
    CHECK_FALSE(acts.recorded("3.2"));
}
