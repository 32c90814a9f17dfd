// Pools: how many instances there should be, on which hosts. Asking for a machine never waits for a
// creation somebody else started; needs are matched with what is coming, and only the rest is made.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

bool avoids(const Need& need, HostId host) {
    return std::find(need.avoid.begin(), need.avoid.end(), host) != need.avoid.end();
}

/// All needs that this flavour serves, without two backups of one terminal asking for the same machine.
std::vector<Need> needs_for(const State& state, const std::string& flavour) {
    std::vector<Need> needs;
    for (const TerminalId id : state.wanting) {
        const TerminalRecord& terminal = state.terminals.at(id);
        if (profile_of(state, terminal).flavour != flavour) continue;
        const std::vector<Need>& wanted = state.terminal_live.at(id).needs;
        needs.insert(needs.end(), wanted.begin(), wanted.end());
    }
    return needs;
}

/// Takes away the needs that machines on their way will meet; what is left is unmet. Reduces `spare` to
/// the machines nobody needs.
std::vector<Need> unmet(const State& state, std::vector<Need> needs, std::set<NodeId>& spare) {
    std::erase_if(needs, [&](const Need& need) {
        for (const NodeId node : spare) {
            if (avoids(need, state.nodes.at(node).host)) continue;
            spare.erase(node);
            return true;
        }
        return false;
    });
    return needs;
}

struct HostChoice {
    HostId host;
    std::string why_none;
};

/// The active host with room that fails least and is used least; by id among equals.
HostChoice choose_host(const State& state, const PoolRecord& pool, const Need& need) {
    HostChoice choice;
    bool waits = false;
    std::pair<std::uint32_t, std::uint64_t> best{};
    for (const auto& [id, host] : state.hosts.rows()) {
        const HostLive& live = state.host_live.at(id);
        if (host.maintenance || avoids(need, id)) continue;
        if (!live.listed) waits = true;  // what exists there is not known yet
        if (!live.reachable || !live.listed) continue;
        if (live.vcpus_used + pool.vcpus > host.vcpus || live.memory_used_mib + pool.memory_mib > host.memory_mib) continue;
        if (live.creating >= state.settings.parallel_creations) {
            waits = true;
            continue;
        }
        const std::pair rank{live.creation_failures, live.memory_used_mib * 1000 / std::max(host.memory_mib, 1u)};
        if (!choice.host || rank < best) {
            choice.host = id;
            best = rank;
        }
    }
    if (!choice.host) choice.why_none = waits ? "" : "no host has room for another instance";
    return choice;
}

void create(State& state, const PoolRecord& pool, HostId host, const char* reason) {
    const NodeId id(take_id(state));
    change_node(state, id, [&](NodeRecord& record) {
        record.id = id;
        record.kind = NodeKind::instance;
        record.host = host;
        record.name = "us-" + to_string(id);
        record.flavour = pool.flavour;
        record.slots = pool.slots;
        record.vcpus = pool.vcpus;
        record.memory_mib = pool.memory_mib;
        record.reason = reason;
    });
    NodeLive& live = state.live[id];
    live.state_since = state.now;
    live.lease_until = state.now;
    start_create(state, id);
}

/// An idle machine where it is of no use makes room for one that is needed elsewhere.
bool make_room(State& state, const std::set<NodeId>& spare) {
    for (const NodeId id : spare) {
        if (state.nodes.at(id).state != NodeState::idle) continue;
        condemn(state, id, "idle where nobody needs it; makes room for a needed one");
        return true;
    }
    return false;
}

void trim(State& state, const PoolRecord& pool, const std::set<NodeId>& spare) {
    PoolLive& live = state.pool_live[pool.flavour];
    std::size_t surplus = live.idle.size() > pool.max_idle ? live.idle.size() - pool.max_idle : 0;
    for (auto id = spare.rbegin(); id != spare.rend() && surplus > 0; ++id) {
        if (state.nodes.at(*id).state != NodeState::idle || state.nodes.at(*id).kind != NodeKind::instance) continue;
        condemn(state, *id, "the pool holds more idle machines than max_idle");
        --surplus;
    }
}

void plan_pool(State& state, const PoolRecord& pool) {
    PoolLive& live = state.pool_live[pool.flavour];
    const std::string reason_before = live.reason;
    std::set<NodeId> spare = live.idle;
    spare.insert(live.coming.begin(), live.coming.end());
    std::vector<Need> wanted = unmet(state, needs_for(state, pool.flavour), spare);
    const std::size_t needed = wanted.size();
    if (spare.size() < pool.min_idle) wanted.resize(needed + pool.min_idle - spare.size());
    const bool paused = live.paused_until > state.now;
    if (!paused && live.failures < state.settings.create_attempts) live.reason.clear();
    for (std::size_t i = 0; i < wanted.size() && !paused; ++i) {
        if (live.total >= pool.max_total) {
            live.reason = "max_total is reached";
            if (i < needed) make_room(state, spare);
            break;
        }
        const HostChoice choice = choose_host(state, pool, wanted[i]);
        if (choice.host) create(state, pool, choice.host, i < needed ? "made for a terminal that needs it" : "keeps the pool warm");
        else if (!choice.why_none.empty()) live.reason = choice.why_none;
    }
    trim(state, pool, spare);
    if (live.reason == reason_before) return;
    for (const TerminalId terminal : state.wanting) queue_terminal(state, terminal);  // so that people are told
}

}  // namespace

void plan_pools(State& state) {
    state.pools_dirty = false;
    for (const auto& [flavour, pool] : state.pools.rows()) plan_pool(state, pool);
    state.pools_dirty = false;  // what was just begun is counted already
}

void on_pool_timer(State& state) { state.pools_dirty = true; }

}  // namespace understudy::manager
