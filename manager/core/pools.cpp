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

/// Hosts that could take another instance now, best first: fails least, is used least, lowest id.
class OpenHosts {
  public:
    OpenHosts(const State& state, const PoolRecord& pool) : state_(state), pool_(pool) {
        for (const auto& [id, host] : state.hosts.rows()) consider(id, host);
    }

    /// Takes the best host that the need does not avoid; none: nobody.
    [[nodiscard]] HostId best_for(const Need& need) const {
        for (const Ranked& ranked : ranked_) {
            if (!avoids(need, ranked.host)) return ranked.host;
        }
        return {};
    }

    /// After something was made there.
    void consider_again(HostId id) {
        std::erase_if(ranked_, [id](const Ranked& ranked) { return ranked.host == id; });
        consider(id, state_.hosts.at(id));
    }

    [[nodiscard]] bool empty() const { return ranked_.empty(); }
    /// Some host is only busy, or has not answered yet: nothing to tell people about.
    [[nodiscard]] bool some_wait() const { return some_wait_; }
    /// Why nothing can be made, in words.
    [[nodiscard]] std::string why_none() const {
        if (state_.hosts.rows().empty()) return "there is no host";
        return silent_.empty() ? "no host has room for another instance" : "no host that answers has room for another instance; " + silent_;
    }

  private:
    struct Ranked {
        std::uint32_t failures = 0;
        std::uint64_t used_permille = 0;
        HostId host;
        auto operator<=>(const Ranked&) const = default;
    };

    void consider(HostId id, const HostRecord& host) {
        const HostLive& live = state_.host_live.at(id);
        if (host.maintenance) return;
        if (!live.listed) some_wait_ = true;
        if (live.listed && !live.reachable) silent_ = "host " + host.name + " does not answer: " + live.last_error;
        if (!live.listed || !live.reachable) return;
        const std::uint32_t slip = UNDERSTUDY_PLANTED("capacity_off_by_one") ? 1 : 0;
        if (live.vcpus_used + pool_.vcpus > host.vcpus + slip) return;
        if (live.memory_used_mib + pool_.memory_mib > host.memory_mib + slip * pool_.memory_mib) return;
        if (live.creating >= state_.settings.parallel_creations) {
            some_wait_ = true;
            return;
        }
        ranked_.insert({live.creation_failures, live.memory_used_mib * 1000 / host.memory_mib, id});
    }

    const State& state_;
    const PoolRecord& pool_;
    std::set<Ranked> ranked_;
    bool some_wait_ = false;
    std::string silent_;  ///< a host that might have room and does not answer
};

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
    live.state_since = live.asked_for = state.now;
    live.lease_until = state.now;
    start_create(state, id);
}

/// An idle machine where it is of no use makes room for one that is needed elsewhere.
void make_room(State& state, const std::set<NodeId>& spare) {
    for (const NodeId id : spare) {
        if (state.nodes.at(id).state != NodeState::idle) continue;
        condemn(state, id, "idle where nobody needs it; makes room for a needed one");
        return;
    }
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

/// Makes what is wanted, as far as hosts and limits allow: first what terminals need (`needed` of them),
/// then what keeps the pool warm.
void make(State& state, const PoolRecord& pool, const std::vector<Need>& wanted, std::size_t needed,
          const std::set<NodeId>& spare) {
    PoolLive& live = state.pool_live[pool.flavour];
    OpenHosts open(state, pool);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (live.total >= pool.max_total) {
            live.reason = "max_total is reached";
            if (i < needed && live.leaving.empty()) make_room(state, spare);
            return;
        }
        const HostId host = open.best_for(wanted[i]);
        if (!host) {
            if (!open.some_wait()) live.reason = open.why_none();
            if (open.empty()) return;
            continue;
        }
        create(state, pool, host, i < needed ? "made for a terminal that needs it" : "keeps the pool warm");
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
    const std::size_t needed = wanted.size();
    // A pause of the network must not fill the pool anew: whoever is only late still counts as warm.
    const auto late = std::count_if(live.doubted.begin(), live.doubted.end(),
                                    [&](NodeId id) { return state.live.at(id).health != Health::unknown; });
    const std::size_t warm = spare.size() + static_cast<std::size_t>(late);
    if (warm < pool.min_idle) wanted.resize(needed + pool.min_idle - warm);
    const bool paused = live.paused_until > state.now;
    if (paused) state.timers.arm({TimerKind::pool, 0}, live.paused_until);
    if (!paused && live.failures < state.settings.create_attempts) live.reason.clear();
    if (!paused && !wanted.empty()) make(state, pool, wanted, needed, spare);
    trim(state, pool, spare);
    if (live.reason == reason_before) return;
    for (const TerminalId terminal : state.wanting) queue_terminal(state, terminal);  // so that people are told
}

}  // namespace

void plan_pools(State& state) {
    state.pools_dirty = false;
    if (rebuilding(state)) return;
    for (const auto& [flavour, pool] : state.pools.rows()) plan_pool(state, pool);
    state.pools_dirty = false;  // what was just begun is counted already
}

void on_pool_timer(State& state) { state.pools_dirty = true; }

}  // namespace understudy::manager
