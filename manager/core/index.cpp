// Derived indexes: who uses a node, which nodes can take work, what hosts have left. Changed only here.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

/// On its way to be idle.
bool is_coming(const NodeRecord& node) {
    switch (node.state) {
        case NodeState::creating: return node.tier == Tier::running;
        case NodeState::booting:
        case NodeState::scrubbing:
        case NodeState::resuming: return true;
        case NodeState::idle:
        case NodeState::serving:
        case NodeState::condemned:
        case NodeState::paused: return false;
    }
    return false;
}

/// Planted: what stands still is believed to take nothing.
bool forgotten(const NodeRecord& node) {
    return node.state == NodeState::paused && UNDERSTUDY_PLANTED("standing_not_counted");
}

/// Nodes whose agent should be heard.
bool is_expected(const NodeRecord& node) {
    return (node.state == NodeState::idle || node.state == NodeState::serving) && node.proof == Proof::none;
}

/// Given up for good, and it serves nobody: its sessions are elsewhere, or may be since it is proven down. Whether it
/// still exists can only be said, and changed, by a hypervisor that does not answer.
bool is_beyond_reach(const State& state, const NodeRecord& node, std::size_t uses) {
    if (node.state != NodeState::condemned || state.host_live.at(node.host).reachable) return false;
    return (node.proof != Proof::none || uses == 0) && !UNDERSTUDY_PLANTED("lost_machines_count");
}

/// A node became free: as many waiting terminals as it has slots look at it. The sweep (sweep_wanting)
/// finds whatever this passes over, so a storm of free nodes does not plan for everybody each time.
void offer(State& state, const NodeRecord& node) {
    std::uint32_t offered = 0;
    for (const auto& [only_backups, since, id] : state.wanting) {
        if (offered >= node.slots) return;
        const std::vector<Need>& needs = state.terminal_live.at(id).needs;
        const bool fits = std::any_of(needs.begin(), needs.end(), [&](const Need& need) {
            return std::find(need.avoid.begin(), need.avoid.end(), node.host) == need.avoid.end();
        });
        if (!fits) continue;
        queue_terminal(state, id);
        ++offered;
    }
}

void refresh_nodes_on(State& state, const HostLive& host) {
    for (const NodeId id : host.nodes) refresh_node(state, id);
}

void use(State& state, NodeId node, SessionId session, Duty duty, bool add) {
    if (!node) return;
    auto& sessions = state.uses[node].sessions;
    if (add) sessions[session] = duty;
    else sessions.erase(session);
    refresh_node(state, node);
}

void use(State& state, NodeId node, TerminalId terminal, Duty duty, bool add) {
    if (!node) return;
    auto& desktops = state.uses[node].desktops;
    if (add) desktops[terminal] = duty;
    else desktops.erase(terminal);
    refresh_node(state, node);
}

void link_session_as(State& state, SessionId id, bool add) {
    const SessionRecord* record = state.sessions.find(id);
    if (record == nullptr) return;
    use(state, record->primary, id, Duty::primary, add);
    for (const NodeId backup : record->backups) use(state, backup, id, Duty::backup, add);
}

void link_terminal_as(State& state, TerminalId id, bool add) {
    const TerminalRecord* record = state.terminals.find(id);
    if (record == nullptr) return;
    use(state, record->presentation, id, Duty::primary, add);
    for (const NodeId backup : record->backups) use(state, backup, id, Duty::backup, add);
}

}  // namespace

void unlink_session(State& state, SessionId id) { link_session_as(state, id, false); }
void link_session(State& state, SessionId id) { link_session_as(state, id, true); }
void unlink_terminal(State& state, TerminalId id) { link_terminal_as(state, id, false); }
void link_terminal(State& state, TerminalId id) { link_terminal_as(state, id, true); }

void unlink_node(State& state, NodeId id) {
    const NodeRecord* record = state.nodes.find(id);
    if (record == nullptr || !record->id) return;
    HostLive& host = state.host_live[record->host];
    host.nodes.erase(id);
    if (!forgotten(*record)) {
        host.vcpus_used -= record->vcpus;
        host.memory_used_mib -= record->memory_mib;
        host.disk_used_mib -= record->disk_mib;
    }
    if (record->state == NodeState::creating) --host.creating;
    PoolLive& pool = state.pool_live[record->flavour];
    --pool.total;
    pool.coming.erase(id);
    pool.standing.erase(id);
    pool.standing_soon.erase(id);
    pool.leaving.erase(id);
    if (record->state == NodeState::serving && --pool.serving_on[record->host] == 0) pool.serving_on.erase(record->host);
    if (is_expected(*record)) --state.gate.population;
}

void link_node(State& state, NodeId id) {
    const NodeRecord& record = state.nodes.at(id);
    HostLive& host = state.host_live[record.host];
    host.nodes.insert(id);
    if (!forgotten(record)) {
        host.vcpus_used += record.vcpus;
        host.memory_used_mib += record.memory_mib;
        host.disk_used_mib += record.disk_mib;
    }
    if (record.state == NodeState::creating) ++host.creating;
    PoolLive& pool = state.pool_live[record.flavour];
    ++pool.total;
    if (is_coming(record)) pool.coming.insert(id);
    if (record.state == NodeState::paused) pool.standing.insert(id);
    if (record.state == NodeState::creating && record.tier == Tier::paused) pool.standing_soon.insert(id);
    if (record.state == NodeState::serving) ++pool.serving_on[record.host];
    if (record.state == NodeState::condemned) pool.leaving.insert(id);
    if (is_expected(record)) ++state.gate.population;
    state.pools_dirty = true;
}

bool draining(const State& state, const NodeRecord& node) {
    if (node.draining) return true;
    const HostRecord* host = state.hosts.find(node.host);
    return host != nullptr && host->maintenance;
}

bool fit(const State& state, NodeId id) {
    const NodeRecord* record = state.nodes.find(id);
    if (record == nullptr || record->proof != Proof::none || draining(state, *record)) return false;
    if (record->state != NodeState::idle && record->state != NodeState::serving) return false;
    const auto live = state.live.find(id);
    return live != state.live.end() && live->second.registration != 0 && live->second.health == Health::healthy;
}

bool reachable(const State& state, NodeId id) {
    const NodeRecord* record = state.nodes.find(id);
    if (record == nullptr || record->proof != Proof::none || record->state != NodeState::serving) return false;
    const auto live = state.live.find(id);
    return live != state.live.end() && live->second.registration != 0 &&
           (live->second.health == Health::healthy || live->second.health == Health::suspect);
}

void refresh_node(State& state, NodeId id) {
    const NodeRecord* record = state.nodes.find(id);
    state.open_execution.erase(id);
    state.open_presentation.erase(id);
    state.unused.erase(id);
    if (record == nullptr) return;
    auto& pool = state.pool_live[record->flavour];
    const bool was_idle = pool.idle.erase(id) != 0;
    pool.doubted.erase(id);
    const bool was_beyond_reach = pool.beyond_reach.erase(id) != 0;
    const std::size_t uses = state.uses[id].count();
    const bool can_take = fit(state, id);
    if (record->state == NodeState::idle && can_take) {
        pool.idle.insert(id);
        if (!was_idle) {
            state.pools_dirty = true;
            offer(state, *record);
        }
        return;
    }
    if (was_idle) state.pools_dirty = true;
    if (record->state == NodeState::paused) {
        if (draining(state, *record)) state.unused.insert(id);
        return;
    }
    if (record->state == NodeState::idle && draining(state, *record)) {
        if (record->kind == NodeKind::instance) state.unused.insert(id);
        return;
    }
    if (record->state == NodeState::idle && record->proof == Proof::none && !state.live[id].given_up) pool.doubted.insert(id);
    if (record->state == NodeState::condemned && uses == 0 && state.live[id].destroyed) state.unused.insert(id);
    if (is_beyond_reach(state, *record, uses)) {
        pool.beyond_reach.insert(id);
        if (!was_beyond_reach) state.pools_dirty = true;
    }
    if (record->state != NodeState::serving) return;
    if (uses == 0) state.unused.insert(id);
    else if (can_take && uses < record->slots) {
        (record->role == Role::execution ? state.open_execution : state.open_presentation).insert(id);
    }
}

void now_answers(State& state, HostId id) {
    HostLive& host = state.host_live[id];
    host.last_error.clear();
    if (!std::exchange(host.reachable, true)) refresh_nodes_on(state, host);
}

void now_silent(State& state, HostId id, std::string why) {
    HostLive& host = state.host_live[id];
    host.last_error = std::move(why);
    if (std::exchange(host.reachable, false)) refresh_nodes_on(state, host);
}

void queue_terminal(State& state, TerminalId id) {
    if (state.terminals.find(id) == nullptr) return;
    TerminalLive& live = state.terminal_live[id];
    if (live.queued) return;
    live.queued = true;
    state.queue.push_back(id);
}

void sweep_wanting(State& state) {
    for (const Wanting& wanting : state.wanting) queue_terminal(state, wanting.terminal);
}

void queue_users(State& state, NodeId id) {
    const auto found = state.uses.find(id);
    if (found == state.uses.end()) return;
    for (const auto& [terminal, duty] : found->second.desktops) queue_terminal(state, terminal);
    for (const auto& [session, duty] : found->second.sessions) {
        if (const SessionRecord* record = state.sessions.find(session)) queue_terminal(state, record->terminal);
    }
}

void erase_node(State& state, NodeId id) {
    unlink_node(state, id);
    if (const NodeRecord* record = state.nodes.find(id)) {
        state.pool_live[record->flavour].idle.erase(id);
        state.pool_live[record->flavour].doubted.erase(id);
        state.pool_live[record->flavour].beyond_reach.erase(id);
    }
    state.nodes.erase(id);
    state.open_execution.erase(id);
    state.open_presentation.erase(id);
    state.unused.erase(id);
    state.gate.held.erase(id);
    state.uses.erase(id);
    state.live.erase(id);
    state.pools_dirty = true;
}

void erase_session(State& state, SessionId id) {
    unlink_session(state, id);
    state.sessions.erase(id);
    state.session_live.erase(id);
}

void rebuild_index(State& state) {
    for (const auto& [id, host] : state.hosts.rows()) {
        state.host_names[host.name] = id;
        state.host_live[id];
    }
    for (const auto& [flavour, pool] : state.pools.rows()) state.pool_live[flavour];
    for (const auto& [id, node] : state.nodes.rows()) {
        state.live[id];
        link_node(state, id);
    }
    for (const auto& [id, terminal] : state.terminals.rows()) {
        state.terminal_names[terminal.name] = id;
        link_terminal(state, id);
    }
    for (const auto& [id, session] : state.sessions.rows()) link_session(state, id);
    for (const auto& [id, node] : state.nodes.rows()) refresh_node(state, id);
}

std::string describe(const State& state, NodeId id) {
    const NodeRecord* record = state.nodes.find(id);
    if (record == nullptr) return "node " + to_string(id);
    const HostRecord* host = state.hosts.find(record->host);
    return "node " + to_string(id) + " (" + record->name + (host == nullptr ? "" : " on " + host->name) + ")";
}

}  // namespace understudy::manager
