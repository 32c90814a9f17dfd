// Claims about placement: what excludes a node, what is preferred, and that every verdict has words.
#include <catch2/catch.hpp>

#include "manager/core/decide.hpp"
#include "manager/core/open_hosts.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

/// Hosts a1, a2 in domain a and b1 in domain b; nodes are put on them by the test.
struct PlacementSite {
    State state{Settings{}};
    TerminalId terminal{50};

    PlacementSite() {
        host(1, "a");
        host(2, "a");
        host(3, "b");
        PoolRecord& pool = state.pools.edit("small");
        pool.flavour = "small";
        state.pool_live["small"];
        change_terminal(state, terminal, [&](TerminalRecord& record) {
            record.id = terminal;
            record.name = "desk1";
        });
    }

    void host(std::uint64_t id, const char* domain) {
        HostRecord& record = state.hosts.edit(HostId(id));
        record.id = HostId(id);
        record.name = domain + std::to_string(id);
        record.domain = domain;
        record.vcpus = 8;
        record.memory_mib = 8192;
        state.host_live[HostId(id)].listed = true;
    }

    NodeId node(std::uint64_t id, std::uint64_t on, NodeState in = NodeState::idle, Role role = Role::none) {
        NodeLive& live = state.live[NodeId(id)];
        live.registration = 1;
        live.health = Health::healthy;
        change_node(state, NodeId(id), [&](NodeRecord& record) {
            record.id = NodeId(id);
            record.host = HostId(on);
            record.flavour = "small";
            record.state = in;
            record.role = role;
            record.slots = 2;
            record.vcpus = 1;
            record.memory_mib = 512;
        });
        return NodeId(id);
    }

    void session(std::uint64_t id, NodeId primary) {
        change_session(state, SessionId(id), [&](SessionRecord& record) {
            record.id = SessionId(id);
            record.terminal = terminal;
            record.primary = primary;
        });
        change_terminal(state, terminal, [&](TerminalRecord& record) { record.sessions.push_back(SessionId(id)); });
    }

    [[nodiscard]] Placement backup_of(NodeId primary, Separation separation) const {
        PlacementRequest request;
        request.role = Role::execution;
        request.terminal = terminal;
        request.session = SessionId(90);
        request.flavour = "small";
        request.primary = primary;
        request.separation = separation;
        return place(state, request);
    }

    [[nodiscard]] std::string verdict(const Placement& placement, NodeId id) const {
        for (const Considered& considered : placement.considered) {
            if (considered.node == id) return considered.verdict;
        }
        return "not looked at";
    }

    void fill(std::uint64_t host) { state.host_live[HostId(host)].vcpus_used = 8; }
};

}  // namespace

TEST_CASE("placement: a backup never shares the host of its primary", "[core]") {
    PlacementSite site;
    const NodeId primary = site.node(10, 1);
    const NodeId same = site.node(11, 1);
    const Placement alone = site.backup_of(primary, Separation::host);
    CHECK_FALSE(alone.chosen);
    CHECK(site.verdict(alone, same) == "shares a host with the primary");
    const NodeId other = site.node(12, 2);
    CHECK(site.backup_of(primary, Separation::host).chosen == other);
    CHECK(site.backup_of(primary, Separation::instance).chosen == same);
}

TEST_CASE("placement: a backup waits for another failure domain while that has room, and not otherwise", "[core]") {
    PlacementSite site;
    const NodeId primary = site.node(10, 1);
    const NodeId near = site.node(11, 2);
    const Placement waits = site.backup_of(primary, Separation::domain);
    CHECK_FALSE(waits.chosen);
    CHECK(site.verdict(waits, near) == "shares a failure domain with the primary");
    CHECK(hosts_to_avoid(site.state, primary, "small", Separation::domain) == std::vector<HostId>{HostId(1), HostId(2)});
    site.fill(3);
    CHECK(site.backup_of(primary, Separation::domain).chosen == near);
    CHECK(hosts_to_avoid(site.state, primary, "small", Separation::domain) == std::vector<HostId>{HostId(1)});
    const NodeId far = site.node(12, 3);
    CHECK(site.backup_of(primary, Separation::domain).chosen == far);
}

TEST_CASE("placement: a machine that is coming in another domain is waited for", "[core]") {
    PlacementSite site;
    const NodeId primary = site.node(10, 1);
    site.node(11, 2);
    site.node(12, 3, NodeState::booting);
    site.fill(3);
    CHECK_FALSE(site.backup_of(primary, Separation::domain).chosen);
}

TEST_CASE("placement: applications of one terminal are spread, and packed only when nothing else is free", "[core]") {
    PlacementSite site;
    const NodeId used = site.node(10, 1, NodeState::serving, Role::execution);
    site.session(60, used);
    PlacementRequest request;
    request.role = Role::execution;
    request.terminal = site.terminal;
    request.session = SessionId(61);
    request.flavour = "small";
    CHECK(place(site.state, request).chosen == used);
    const NodeId idle = site.node(11, 1);
    CHECK(place(site.state, request).chosen == idle);
}

TEST_CASE("placement: suspects, drained nodes, other roles, flavours and full nodes are excluded with words", "[core]") {
    PlacementSite site;
    const NodeId full = site.node(10, 1, NodeState::serving, Role::execution);
    site.session(60, full);
    site.session(61, full);
    const NodeId other_role = site.node(11, 1, NodeState::serving, Role::presentation);
    change_terminal(site.state, site.terminal, [&](TerminalRecord& record) { record.presentation = other_role; });
    const NodeId drained = site.node(12, 1, NodeState::serving, Role::execution);
    site.session(62, drained);
    change_node(site.state, drained, [](NodeRecord& record) { record.draining = true; });
    const NodeId suspect = site.node(13, 1, NodeState::serving, Role::execution);
    site.session(63, suspect);
    site.state.live[suspect].health = Health::suspect;
    refresh_node(site.state, suspect);
    PlacementRequest request;
    request.role = Role::execution;
    request.terminal = site.terminal;
    request.session = SessionId(70);
    request.flavour = "small";
    const Placement none = place(site.state, request);
    CHECK_FALSE(none.chosen);
    CHECK(site.verdict(none, full) == "has no free slot");
    CHECK(site.verdict(none, drained) == "is being drained");
    CHECK(site.verdict(none, suspect).starts_with("is not fit"));
    CHECK(site.verdict(none, other_role) == "not looked at");
    for (const std::string& line : explain(site.state, none)) CHECK(line.find("excluded, ") != std::string::npos);
}

TEST_CASE("placement: where it failed lately is taken only when nothing else is left", "[core]") {
    PlacementSite site;
    const NodeId bad = site.node(10, 1);
    PlacementRequest request;
    request.role = Role::execution;
    request.terminal = site.terminal;
    request.session = SessionId(70);
    request.flavour = "small";
    request.avoid = {bad};
    CHECK(place(site.state, request).chosen == bad);
    const NodeId good = site.node(11, 1);
    CHECK(place(site.state, request).chosen == good);
}

TEST_CASE("placement: the same question has the same answer, ties go to the lowest id", "[core]") {
    PlacementSite site;
    site.node(12, 2);
    site.node(11, 1);
    site.node(13, 3);
    PlacementRequest request;
    request.role = Role::presentation;
    request.terminal = site.terminal;
    request.flavour = "small";
    const Placement first = place(site.state, request);
    CHECK(first.chosen == NodeId(11));
    CHECK(explain(site.state, first) == explain(site.state, place(site.state, request)));
}

TEST_CASE("placement: who has the environment comes first, and an enrolled machine that could not get it is excluded") {
    PlacementSite site;
    EnvironmentRecord& office = site.state.environments.edit("office");
    office = {"office", "sha256:1", 1};
    site.node(10, 1);
    const NodeId prepared = site.node(11, 2);
    site.state.live[prepared].environments.insert("sha256:1");
    const NodeId enrolled = site.node(12, 3);
    change_node(site.state, enrolled, [](NodeRecord& record) { record.kind = NodeKind::enrolled; });
    PlacementRequest request;
    request.role = Role::execution;
    request.terminal = site.terminal;
    request.session = SessionId(90);
    request.flavour = "small";
    request.environment = "office";
    const Placement placement = place(site.state, request);
    CHECK(placement.chosen == prepared);
    const std::vector<std::string> lines = explain(site.state, placement);
    REQUIRE(lines.size() == 3);
    CHECK_THAT(lines[0], Catch::Contains("has its environment"));
    CHECK_THAT(lines[2], Catch::Contains("no hypervisor that could deploy"));
}

TEST_CASE("placement: a pool that packs takes the machine and the host that are used most, one that spreads the least") {
    PlacementSite site;
    site.node(10, 1);
    site.node(11, 1);
    site.node(20, 2);
    const NodeId used = site.node(12, 1, NodeState::serving, Role::execution);
    const NodeId fresh = site.node(21, 2, NodeState::serving, Role::execution);
    for (const NodeId node : {used, fresh}) {
        change_node(site.state, node, [](NodeRecord& record) { record.slots = 4; });
    }
    site.session(91, used);
    site.session(92, used);
    site.session(93, fresh);
    PlacementRequest request;
    request.role = Role::execution;
    request.terminal = TerminalId(99);
    request.session = SessionId(90);
    request.flavour = "small";
    CHECK(place(site.state, request).chosen == fresh);
    site.state.pools.edit("small").policy = Policy::pack;
    CHECK(place(site.state, request).chosen == used);
    site.state.pools.edit("small").policy = Policy::spread;
    const OpenHosts spread(site.state, site.state.pools.at("small"));
    CHECK(spread.best_for({}) == HostId(3));
    site.state.pools.edit("small").policy = Policy::pack;
    const OpenHosts pack(site.state, site.state.pools.at("small"));
    CHECK(pack.best_for({}) == HostId(1));
}

TEST_CASE("open hosts: every rule that excludes a host has words, and what stands still or is being made counts") {
    PlacementSite site;
    site.state.pools.edit("small").disk_mib = 600;
    HostRecord& full = site.state.hosts.edit(HostId(1));
    full.vcpus = 2;
    site.node(10, 1, NodeState::paused);
    site.node(11, 1, NodeState::creating);
    HostRecord& small_disk = site.state.hosts.edit(HostId(2));
    small_disk.disk_mib = 500;
    site.state.hosts.edit(HostId(3)).maintenance = true;
    const OpenHosts open(site.state, site.state.pools.at("small"));
    CHECK(open.empty());
    const std::vector<ConsideredHost> hosts = open.considered();
    REQUIRE(hosts.size() == 3);
    CHECK_THAT(hosts[0].verdict, Catch::Contains("has 0 vCPUs left"));
    CHECK_THAT(hosts[1].verdict, Catch::Contains("500 MiB of disk"));
    CHECK_THAT(hosts[2].verdict, Catch::Contains("maintenance"));
}
