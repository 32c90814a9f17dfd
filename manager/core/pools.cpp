// Pools: how many instances there should be, on which hosts. Asking for a machine never waits for a
// creation somebody else started; needs are matched with what is coming, and only the rest is made.
#include "manager/core/decide.hpp"
#include "manager/core/demand.hpp"
#include "manager/core/open_hosts.hpp"

namespace understudy::manager {
namespace {

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

void create(State& state, const PoolRecord& pool, HostId host, Tier tier, const char* reason) {
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
        record.disk_mib = pool.disk_mib;
        record.tier = tier;
        record.reason = reason;
    });
    NodeLive& live = state.live[id];
    live.state_since = live.asked = state.now;
    live.lease_until = state.now;
    start_create(state, id);
}

void resume(State& state, NodeId id, const char* reason) {
    UNDERSTUDY_MARK("provisioning.resumes");
    change_node(state, id, [&](NodeRecord& record) {
        record.state = NodeState::resuming;
        record.reason = reason;
    });
    NodeLive& live = state.live[id];
    live.asked = state.now;
    live.attempts = 0;
    start_resume(state, id);
}

NodeId standing_for(const State& state, const PoolLive& live, const Need& need) {
    for (const NodeId id : live.standing) {
        if (!avoids(need, state.nodes.at(id).host) && can_resume(state, id)) return id;
    }
    return {};
}

/// Lets machines that stand still continue for what is wanted; takes that away.
void resume_standing(State& state, PoolLive& live, std::vector<Need>& wanted, std::size_t& needed) {
    if (live.resumption.until > state.now) {
        state.timers.arm({TimerKind::pool, 0}, live.resumption.until);
        return;
    }
    std::vector<Need> left;
    std::size_t left_needed = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const bool for_terminal = i < needed;
        if (const NodeId id = standing_for(state, live, wanted[i])) {
            resume(state, id, for_terminal ? "continues for a terminal that needs it" : "continues to keep the pool warm");
            continue;
        }
        left.push_back(std::move(wanted[i]));
        if (for_terminal) ++left_needed;
    }
    wanted = std::move(left);
    needed = left_needed;
}

/// max_total is reached: a machine where it is of no use makes room for one that is needed elsewhere.
void make_room(State& state, const PoolLive& live, const std::set<NodeId>& spare) {
    if (!live.standing.empty()) {
        condemn(state, *live.standing.rbegin(), "stands still where nobody needs it; makes room for a needed one");
        return;
    }
    for (const NodeId id : spare) {
        if (state.nodes.at(id).state != NodeState::idle) continue;
        condemn(state, id, "idle where nobody needs it; makes room for a needed one");
        return;
    }
}

/// Would the host take an instance of this pool if this machine were not there?
bool frees_enough(const State& state, const PoolRecord& pool, const NodeRecord& node) {
    const HostRecord* host = state.hosts.find(node.host);
    if (host == nullptr || host->maintenance || !does_not_fit(*host, pool).empty()) return false;
    const HostLive& live = state.host_live.at(node.host);
    return live.reachable && live.vcpus_used - node.vcpus + pool.vcpus <= host->vcpus &&
           live.memory_used_mib - node.memory_mib + pool.memory_mib <= host->memory_mib &&
           (host->disk_mib == 0 || live.disk_used_mib - node.disk_mib + pool.disk_mib <= host->disk_mib);
}

/// The hosts are full, with machines that nobody uses among those of other pools: one makes way for what a
/// terminal needs. One at a time: what is leaving may be enough.
void make_way_on_host(State& state, const PoolRecord& pool, const Need& need) {
    NodeId idle;
    for (const auto& [flavour, live] : state.pool_live) {
        if (!live.leaving.empty()) return;
        if (flavour == pool.flavour || idle) continue;
        for (const NodeId id : live.standing) {
            const NodeRecord& node = state.nodes.at(id);
            if (avoids(need, node.host) || !frees_enough(state, pool, node)) continue;
            condemn(state, id, "stands still; makes room for a machine that a terminal needs");
            return;
        }
        for (const NodeId id : live.idle) {
            const NodeRecord& node = state.nodes.at(id);
            if (node.kind != NodeKind::instance || avoids(need, node.host) || !frees_enough(state, pool, node)) continue;
            idle = id;
            break;
        }
    }
    if (idle) condemn(state, idle, "idle; makes room for a machine that a terminal needs");
}

void trim(State& state, const PoolRecord& pool, const std::set<NodeId>& spare) {
    PoolLive& live = state.pool_live[pool.flavour];
    std::size_t surplus = live.idle.size() > pool.max_idle ? live.idle.size() - pool.max_idle : 0;
    for (auto id = spare.rbegin(); id != spare.rend() && surplus > 0; ++id) {
        if (state.nodes.at(*id).state != NodeState::idle || state.nodes.at(*id).kind != NodeKind::instance) continue;
        condemn(state, *id, "the pool holds more idle machines than max_idle");
        --surplus;
    }
    while (live.standing.size() > pool.max_paused) {
        condemn(state, *live.standing.rbegin(), "the pool holds more machines standing still than max_paused");
    }
}

/// Makes what is wanted, as far as hosts and limits allow: first what terminals need (`needed` of them),
/// then what keeps the pool warm.
void make(State& state, const PoolRecord& pool, const std::vector<Need>& wanted, std::size_t needed,
          const std::set<NodeId>& spare) {
    PoolLive& live = state.pool_live[pool.flavour];
    OpenHosts open(state, pool);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (live.total >= pool.max_total) {
            live.reason = "max_total is reached";
            if (i < needed && live.leaving.empty()) make_room(state, live, spare);
            return;
        }
        const HostId host = open.best_for(wanted[i]);
        if (!host) {
            if (!open.some_wait()) live.reason = open.why_none();
            if (i < needed && !open.some_wait()) make_way_on_host(state, pool, wanted[i]);
            if (open.empty()) return;
            continue;
        }
        create(state, pool, host, Tier::running, i < needed ? "made for a terminal that needs it" : "keeps the pool warm");
        open.consider_again(host);
    }
}

/// Keeps machines standing still, once everybody has what they need.
void keep_standing(State& state, const PoolRecord& pool, std::uint32_t target) {
    PoolLive& live = state.pool_live[pool.flavour];
    if (live.stand_still.until > state.now) {
        state.timers.arm({TimerKind::pool, 0}, live.stand_still.until);
        return;
    }
    OpenHosts open(state, pool);
    while (live.standing.size() + live.standing_soon.size() < target && live.total < pool.max_total) {
        // While it keeps failing one at a time finds out whether it works again.
        if (live.stand_still.failures > 0 && !live.standing_soon.empty()) return;
        const HostId host = open.best_for({});
        if (!host) return;
        create(state, pool, host, Tier::paused, "will stand still until it is needed");
        open.consider_again(host);
    }
}

void plan_pool(State& state, const PoolRecord& pool) {
    PoolLive& live = state.pool_live[pool.flavour];
    const std::string reason_before = live.reason;
    std::set<NodeId> spare = live.idle;
    spare.insert(live.coming.begin(), live.coming.end());
    // Not heard of since this manager started: on its way back, as far as anybody knows.
    for (const NodeId id : live.doubted) {
        if (state.live.at(id).health == Health::unknown) spare.insert(id);
    }
    std::vector<Need> wanted = unmet(state, needs_for(state, pool.flavour), spare);
    std::size_t needed = wanted.size();
    // A pause of the network must not fill the pool anew: whoever is only late still counts as warm.
    const auto late = std::count_if(live.doubted.begin(), live.doubted.end(),
                                    [&](NodeId id) { return state.live.at(id).health != Health::unknown; });
    const std::size_t warm = spare.size() + static_cast<std::size_t>(late);
    const Target target = target_of(state, pool);
    if (warm < target.idle) wanted.resize(needed + target.idle - warm);
    if (!live.standing.empty()) resume_standing(state, live, wanted, needed);
    const bool paused = live.paused_until > state.now;
    if (paused) state.timers.arm({TimerKind::pool, 0}, live.paused_until);
    if (!paused && live.failures < state.settings.create_attempts) live.reason.clear();
    if (!paused && !wanted.empty()) make(state, pool, wanted, needed, spare);
    if (!paused && needed == 0 && target.paused > 0) keep_standing(state, pool, target.paused);
    trim(state, pool, spare);
    if (live.reason == reason_before) return;
    for (const TerminalId terminal : state.wanting) queue_terminal(state, terminal);  // so that people are told
}

}  // namespace

bool avoids(const Need& need, HostId host) {
    return std::find(need.avoid.begin(), need.avoid.end(), host) != need.avoid.end();
}

bool can_resume(const State& state, NodeId id) {
    const NodeRecord& node = state.nodes.at(id);
    const HostLive& host = state.host_live.at(node.host);
    return node.state == NodeState::paused && node.proof == Proof::none && !draining(state, node) && host.listed && host.reachable;
}

bool may_go_elsewhere(const State& state, const NodeRecord& node) {
    const PoolRecord* pool = state.pools.find(node.flavour);
    return pool != nullptr && OpenHosts(state, *pool).better_than(node.host);
}

void plan_pools(State& state) {
    state.pools_dirty = false;
    for (const auto& [flavour, pool] : state.pools.rows()) plan_pool(state, pool);
    state.pools_dirty = false;  // what was just begun is counted already
}

void on_pool_timer(State& state) { state.pools_dirty = true; }

}  // namespace understudy::manager
