// Pools: how many instances there should be, on which hosts. Asking for a machine never waits for a
// creation somebody else started; needs are matched with what is coming, and only the rest is made.
#include <map>

#include "manager/core/decide.hpp"
#include "manager/core/demand.hpp"
#include "manager/core/open_hosts.hpp"
#include "manager/core/spare.hpp"

namespace understudy::manager {
namespace {

/// All needs that this flavour serves, without two backups of one terminal asking for the same machine.
std::vector<Need> needs_for(const State& state, const std::string& flavour) {
    std::vector<Need> needs;
    for (const auto& [only_backups, since, id] : state.wanting) {
        const TerminalRecord& terminal = state.terminals.at(id);
        if (profile_of(state, terminal).flavour != flavour) continue;
        const std::vector<Need>& wanted = state.terminal_live.at(id).needs;
        needs.insert(needs.end(), wanted.begin(), wanted.end());
    }
    return needs;
}

/// Takes away the needs that machines on their way will meet; what is left is unmet. Takes from `spare` what is
/// needed.
std::vector<Need> unmet(const State& state, std::vector<Need> needs, Spare& spare) {
    std::erase_if(needs, [&](const Need& need) {
        const NodeId node = spare.first([&](NodeId id) { return !avoids(need, state.nodes.at(id).host); });
        if (node) spare.take(node);
        return static_cast<bool>(node);
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
    live.state_since = live.asked_for = state.now;
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
    live.asked_for = state.now;
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
void resume_standing(State& state, PoolLive& live, std::vector<Need>& wanted, const char* reason) {
    if (live.resumption.until > state.now) {
        state.timers.arm({TimerKind::pool, 0}, live.resumption.until);
        return;
    }
    std::erase_if(wanted, [&](const Need& need) {
        const NodeId id = standing_for(state, live, need);
        if (id) resume(state, id, reason);
        return static_cast<bool>(id);
    });
}

/// Is room about to become free?
bool some_leave(const PoolLive& live) { return live.leaving.size() > live.beyond_reach.size(); }

/// What can make room where max_total is reached: a machine that is of no use where it is.
struct Dispensable {
    NodeId machine;
    const char* why = "";
};

Dispensable dispensable_of(const State& state, const PoolLive& live, const Spare& spare) {
    for (const NodeId id : live.coming) {
        if (state.host_live.at(state.nodes.at(id).host).reachable) continue;
        return {id, "was being made on a host that does not answer; makes room for a needed one"};
    }
    if (!live.standing.empty()) return {*live.standing.rbegin(), "stands still where nobody needs it; makes room for a needed one"};
    const NodeId idle = spare.first([&](NodeId id) { return state.nodes.at(id).state == NodeState::idle; });
    return idle ? Dispensable{idle, "idle where nobody needs it; makes room for a needed one"} : Dispensable{};
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
        if (some_leave(live)) return;
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

/// Gives up what the limits do not allow, as far as nobody needs it: what stands still first. More than max_total
/// there are where an administrator lowered it, or where machines came back that had been replaced.
void trim(State& state, const PoolRecord& pool, const Spare& spare) {
    PoolLive& live = state.pool_live[pool.flavour];
    while (live.standing.size() > pool.max_paused) {
        condemn(state, *live.standing.rbegin(), "the pool holds more machines standing still than max_paused");
    }
    while (above_max_total(live, pool) > 0 && !live.standing.empty()) {
        condemn(state, *live.standing.rbegin(), "stands still, and the pool has more machines than max_total");
    }
    if (live.idle.size() <= pool.max_idle && above_max_total(live, pool) == 0) return;
    const std::vector<NodeId> ids = spare.all();
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
        const bool idle = live.idle.size() > pool.max_idle;
        if (!idle && above_max_total(live, pool) == 0) return;
        if (state.nodes.at(*id).state != NodeState::idle || state.nodes.at(*id).kind != NodeKind::instance) continue;
        condemn(state, *id, idle ? "the pool holds more idle machines than max_idle" : "idle, and the pool has more machines than max_total");
    }
}

/// Makes what terminals need, as far as hosts and limits allow. What waits for room on a host is left over.
std::vector<Need> make_needed(State& state, const PoolRecord& pool, const std::vector<Need>& needs, const Spare& spare) {
    PoolLive& live = state.pool_live[pool.flavour];
    OpenHosts open(state, pool);
    std::vector<Need> without_room;
    for (const Need& need : needs) {
        Dispensable gives_way;
        if (at_max_total(live, pool) && !some_leave(live)) gives_way = dispensable_of(state, live, spare);
        if (at_max_total(live, pool) && !gives_way.machine) {
            live.reason = "max_total is reached";
            break;
        }
        const HostId host = open.best_for(need);
        if (!host) {  // nothing gives way for what could not be made: it would only be replaced, and give way again
            without_room.push_back(need);
            if (open.some_wait()) continue;
            live.reason = open.why_none();
            make_way_on_host(state, pool, need);
            continue;
        }
        if (gives_way.machine) condemn(state, gives_way.machine, gives_way.why);
        if (at_max_total(live, pool)) {  // until what gave way is gone, unless that is beyond reach anyway
            without_room.push_back(need);
            live.reason = "max_total is reached";
            break;
        }
        create(state, pool, host, Tier::running, "made for a terminal that needs it");
        open.consider_again(host);
    }
    return without_room;
}

/// Makes what keeps the pool warm, away from hosts whose room a terminal waits for.
void make_warm(State& state, const PoolRecord& pool, std::size_t missing, const Need& anywhere) {
    PoolLive& live = state.pool_live[pool.flavour];
    OpenHosts open(state, pool);
    for (std::size_t i = 0; i < missing; ++i) {
        if (at_max_total(live, pool)) {
            live.reason = "max_total is reached";
            return;
        }
        const HostId host = open.best_for(anywhere);
        if (!host) {
            if (!open.some_wait()) live.reason = open.why_none();
            return;
        }
        create(state, pool, host, Tier::running, "keeps the pool warm");
        open.consider_again(host);
    }
}

/// Keeps machines standing still, once everybody has what they need.
void keep_standing(State& state, const PoolRecord& pool, std::uint32_t target, const Need& anywhere) {
    PoolLive& live = state.pool_live[pool.flavour];
    if (live.stand_still.until > state.now) {
        state.timers.arm({TimerKind::pool, 0}, live.stand_still.until);
        return;
    }
    OpenHosts open(state, pool);
    while (live.standing.size() + live.standing_soon.size() < target && !at_max_total(live, pool)) {
        // While it keeps failing one at a time finds out whether it works again.
        if (live.stand_still.failures > 0 && !live.standing_soon.empty()) return;
        const HostId host = open.best_for(anywhere);
        if (!host) return;
        create(state, pool, host, Tier::paused, "will stand still until it is needed");
        open.consider_again(host);
    }
}

/// What a pool has to spare and what is asked of it, at one moment.
struct Wanted {
    Spare spare;              ///< idle or coming, and needed by nobody
    std::vector<Need> needs;  ///< that none of those will meet
    std::size_t delayed = 0;  ///< coming on hosts that do not answer: nobody waits for these, and they may come yet
    bool somebody_waits = false;
};

Wanted wanted_of(const State& state, const PoolRecord& pool) {
    const PoolLive& live = state.pool_live.at(pool.flavour);
    Wanted wanted{.spare = Spare(live.idle), .needs = {}};
    for (const NodeId id : live.coming) {
        if (state.host_live.at(state.nodes.at(id).host).reachable) wanted.spare.add(id);
        else ++wanted.delayed;
    }
    // Not heard of since this manager started: on its way back, as far as anybody knows.
    for (const NodeId id : live.doubted) {
        if (state.live.at(id).health == Health::unknown) wanted.spare.add(id);
    }
    std::vector<Need> needs = needs_for(state, pool.flavour);
    wanted.somebody_waits = !needs.empty();
    wanted.needs = unmet(state, std::move(needs), wanted.spare);
    return wanted;
}

/// Hosts whose room somebody waits for: nobody else's spare machines are made there. Otherwise a pool would fill at
/// once what makes way for another.
using Claims = std::map<HostId, std::string>;  ///< to the flavour that waits

void claim_hosts(const State& state, const PoolRecord& pool, const std::vector<Need>& without_room, Claims& claims) {
    for (const Need& need : without_room) {
        for (const auto& [id, host] : state.hosts.rows()) {
            if (!avoids(need, id) && does_not_fit(host, pool).empty()) claims.emplace(id, pool.flavour);
        }
    }
}

void serve_needs(State& state, const PoolRecord& pool, Claims& claims) {
    PoolLive& live = state.pool_live[pool.flavour];
    Wanted wanted = wanted_of(state, pool);
    if (!wanted.needs.empty() && !live.standing.empty()) {
        resume_standing(state, live, wanted.needs, "continues for a terminal that needs it");
    }
    const bool paused = live.paused_until > state.now;
    if (paused) state.timers.arm({TimerKind::pool, 0}, live.paused_until);
    if (!paused && live.failures < state.settings.create_attempts) live.reason.clear();
    if (!paused && !wanted.needs.empty()) claim_hosts(state, pool, make_needed(state, pool, wanted.needs, wanted.spare), claims);
}

void keep_warm(State& state, const PoolRecord& pool, const Claims& claims) {
    PoolLive& live = state.pool_live[pool.flavour];
    const Wanted wanted = wanted_of(state, pool);
    Need anywhere;
    for (const auto& [host, flavour] : claims) {
        if (flavour != pool.flavour) anywhere.avoid.push_back(host);
    }
    // A pause of the network must not fill the pool anew: whoever is only late still counts as warm.
    const auto late = std::count_if(live.doubted.begin(), live.doubted.end(),
                                    [&](NodeId id) { return state.live.at(id).health != Health::unknown; });
    const std::size_t warm = wanted.spare.size() + wanted.delayed + static_cast<std::size_t>(late);
    const Target target = target_of(state, pool);
    std::size_t missing = warm < target.idle ? target.idle - warm : 0;
    const bool rests = state.now < state.refill_from;
    if (rests) state.timers.arm({TimerKind::pool, 0}, state.refill_from);
    if (!rests && missing > 0 && !live.standing.empty()) {  // no more than stand still: a pool may lack thousands, and is planned often
        std::vector<Need> needs(std::min(missing, live.standing.size()), anywhere);
        const std::size_t asked = needs.size();
        resume_standing(state, live, needs, "continues to keep the pool warm");
        missing -= asked - needs.size();  // those that go on
    }
    if (!rests && live.paused_until <= state.now) {
        if (missing > 0) make_warm(state, pool, missing, anywhere);
        if (!wanted.somebody_waits && target.paused > 0) keep_standing(state, pool, target.paused, anywhere);
    }
    trim(state, pool, wanted.spare);
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

bool at_max_total(const PoolLive& live, const PoolRecord& pool) {
    return live.total - live.beyond_reach.size() >= pool.max_total;
}

std::size_t above_max_total(const PoolLive& live, const PoolRecord& pool) {
    const std::size_t staying = live.total - live.leaving.size();
    return staying > pool.max_total ? staying - pool.max_total : 0;
}

bool may_go_elsewhere(const State& state, const NodeRecord& node) {
    const PoolRecord* pool = state.pools.find(node.flavour);
    return pool != nullptr && OpenHosts(state, *pool).better_than(node.host);
}

void plan_pools(State& state) {
    state.pools_dirty = false;
    if (rebuilding(state)) return;
    std::map<std::string, std::string> reasons;
    for (const auto& [flavour, pool] : state.pools.rows()) reasons[flavour] = state.pool_live[flavour].reason;
    Claims claims;
    for (const auto& [flavour, pool] : state.pools.rows()) serve_needs(state, pool, claims);
    for (const auto& [flavour, pool] : state.pools.rows()) keep_warm(state, pool, claims);
    const bool changed = std::any_of(reasons.begin(), reasons.end(),
                                     [&](const auto& before) { return state.pool_live[before.first].reason != before.second; });
    if (changed) {  // so that people are told
        sweep_wanting(state);
    }
    state.pools_dirty = false;  // what was just begun is counted already
}

void on_pool_timer(State& state) { state.pools_dirty = true; }

}  // namespace understudy::manager
