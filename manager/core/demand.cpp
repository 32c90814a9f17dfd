// See demand.hpp.
#include "manager/core/demand.hpp"

#include <algorithm>

#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kTakenRemembered = 4096;  ///< more inside one window than any limit asks for

std::string seconds_text(Duration time) {
    const std::int64_t tenths = to_ms(time) / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

/// How many are taken, on average, while one is made; rounded up.
std::uint32_t taken_during(const Settings& settings, std::size_t taken, Duration takes) {
    const std::int64_t window = std::max<std::int64_t>(settings.demand_window.count(), 1);
    const auto product = static_cast<std::int64_t>(taken) * takes.count();
    return static_cast<std::uint32_t>((product + window - 1) / window);
}

std::uint32_t within(std::uint32_t wanted, std::uint32_t lowest, std::uint32_t highest) {
    return std::max(lowest, std::min(wanted, highest));
}

/// The host whose loss costs this pool most. None where nobody could replace it: a spare machine on the host that
/// fails is lost with it.
void find_largest_host(const State& state, const PoolLive& live, Target& target) {
    const auto active = std::count_if(state.hosts.rows().begin(), state.hosts.rows().end(),
                                      [](const auto& row) { return !row.second.maintenance; });
    if (active < 2) return;
    for (const auto& [host, machines] : live.serving_on) {
        if (machines <= target.host_loss) continue;
        target.host_loss = machines;
        target.largest = host;
    }
}

void learn(Duration& usual, Duration seen) { usual = usual == Duration{0} ? seen : usual + (seen - usual) / 4; }

PoolLive& pool_of(State& state, NodeId id) { return state.pool_live[state.nodes.at(id).flavour]; }

/// Its host proved that it can do this, and how long it takes is learnt. False: nobody asked for it lately (it was
/// scrubbed, or asked for by an earlier manager).
bool succeeded(State& state, NodeId id, Duration& usual) {
    state.host_live[state.nodes.at(id).host].creation_failures = 0;
    NodeLive& live = state.live[id];
    if (live.asked_for == kNever) return false;
    learn(usual, state.now - live.asked_for);
    live.asked_for = kNever;
    return true;
}

}  // namespace

Target target_of(const State& state, const PoolRecord& pool) {
    Target target;
    target.idle = pool.min_idle;
    target.paused = pool.min_paused;
    const auto found = state.pool_live.find(pool.flavour);
    if (!pool.follow_demand || found == state.pool_live.end()) return target;
    const PoolLive& live = found->second;
    const auto since = std::lower_bound(live.taken.begin(), live.taken.end(), state.now - state.settings.demand_window);
    target.taken = static_cast<std::size_t>(live.taken.end() - since);
    const bool from_paused = pool.max_paused > 0 && live.usual.resumed != Duration{0};
    target.ready_after = from_paused ? live.usual.resumed : live.usual.made;
    target.paused_after = live.usual.standing;
    target.meanwhile = taken_during(state.settings, target.taken, target.ready_after);
    target.meanwhile_paused = taken_during(state.settings, target.taken, target.paused_after);
    find_largest_host(state, live, target);
    target.idle = within(target.meanwhile + target.host_loss, pool.min_idle, pool.max_idle);
    target.paused = within(target.meanwhile_paused, pool.min_paused, pool.max_paused);
    return target;
}

std::string explain(const State& state, const PoolRecord& pool, const Target& target) {
    if (!pool.follow_demand) return "fixed: min_idle";
    std::string text = std::to_string(target.taken) + " taken in the last " +
                       std::to_string(to_ms(state.settings.demand_window) / 60000) + " min";
    if (target.ready_after == Duration{0}) text += ", how long getting one takes is not known yet";
    else text += ", " + seconds_text(target.ready_after) + " until one is ready: " + std::to_string(target.meanwhile);
    if (const HostRecord* host = state.hosts.find(target.largest)) {
        text += "; the loss of host " + host->name + " would cost " + std::to_string(target.host_loss);
    }
    const std::uint32_t wanted = target.meanwhile + target.host_loss;
    if (wanted > pool.max_idle) text += "; max_idle allows " + std::to_string(pool.max_idle);
    else if (wanted < pool.min_idle) text += "; min_idle demands " + std::to_string(pool.min_idle);
    return text;
}

void note_taken(State& state, NodeId id) {
    const NodeRecord& node = state.nodes.at(id);
    if (node.kind != NodeKind::instance) return;
    std::deque<TimePoint>& taken = state.pool_live[node.flavour].taken;
    taken.push_back(state.now);
    while (taken.size() > kTakenRemembered || taken.front() < state.now - state.settings.demand_window) taken.pop_front();
}

void made_one(State& state, NodeId id) {
    const bool continued = state.nodes.at(id).tier == Tier::paused;
    PoolLive& pool = pool_of(state, id);
    pool.failures = 0;
    pool.moves = 0;
    if (succeeded(state, id, continued ? pool.usual.resumed : pool.usual.made) && continued) pool.resumption = {};
}

void stands_still(State& state, NodeId id) {
    PoolLive& pool = pool_of(state, id);
    pool.stand_still = {};
    succeeded(state, id, pool.usual.standing);
}

}  // namespace understudy::manager
