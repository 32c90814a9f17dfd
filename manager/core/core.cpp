// See core.hpp: the entry points, and the frame of a step: event, planning, writes, next wake-up.
#include "manager/core/core.hpp"

#include <utility>

#include "manager/core/decide.hpp"
#include "manager/core/record_codec.hpp"

namespace understudy::manager {
namespace {

constexpr int kTimersPerStep = 4096;
constexpr std::size_t kStorm = 1000;

void fire(State& state, const TimerKey& key) {
    switch (key.kind) {
        case TimerKind::node: on_node_timer(state, NodeId(key.subject)); break;
        case TimerKind::session:
            if (const SessionRecord* session = state.sessions.find(SessionId(key.subject))) {
                queue_terminal(state, session->terminal);
            }
            break;
        case TimerKind::terminal: on_terminal_timer(state, TerminalId(key.subject)); break;
        case TimerKind::pool: on_pool_timer(state); break;
        case TimerKind::sweep: sweep_wanting(state); break;
        case TimerKind::host: on_host_timer(state, HostId(key.subject)); break;
        case TimerKind::gate: on_gate_timer(state); break;
        case TimerKind::fence: on_fence_timer(state, HostId(key.subject)); break;
        case TimerKind::rebuild:  // looked at in every step
        case TimerKind::tick: break;  // it is enough that it came: lateness was measured
    }
}

void fire_due(State& state) {
    TimerKey key;
    for (int fired = 0; fired < kTimersPerStep && state.timers.take_due(state.now, key); ++fired) fire(state, key);
}

/// What this process missed is not held against the nodes.
void measure_stall(State& state) {
    if (state.expected == kNever || state.now <= state.expected + state.settings.stall_threshold) return;
    const Duration late = state.now - state.expected;
    state.stalled += late;
    note(state, Note::Weight::notice, {},
         "the manager itself was late by " + std::to_string(to_ms(late)) + " ms; nodes are not blamed for it");
}

void plan_queued(State& state) {
    for (std::uint32_t planned = 0; planned < state.settings.terminals_per_step && !state.queue.empty(); ++planned) {
        const TerminalId id = state.queue.front();
        state.queue.pop_front();
        state.terminal_live[id].queued = false;
        plan_terminal(state, id);
    }
}

/// Matching needs with machines costs as much as there are of both. When there are very many, as at the
/// first start of a large site or after the loss of a failure domain, it is done once per tick.
bool storm(const State& state) {
    std::size_t open = state.wanting.size();
    for (const auto& [flavour, pool] : state.pool_live) open += pool.coming.size();
    return open > kStorm;
}

Step finish(State& state, bool new_tick) {
    check_rebuild(state);
    plan_queued(state);
    return_unused(state);
    const bool paced = state.pools_dirty && !new_tick && storm(state);
    if (paced) state.timers.arm({TimerKind::pool, 0}, state.now + state.settings.tick);
    else if (state.pools_dirty) plan_pools(state);
    for (const TerminalId id : std::exchange(state.to_tell, {})) tell_client(state, id);
    if (state.gate.population > 0) state.timers.arm({TimerKind::tick, 0}, state.now + state.settings.tick);
    state.step.writes = drain_writes(state);
    const bool more = !state.queue.empty() || (state.pools_dirty && !paced);
    state.step.wake_at = more ? state.now : state.timers.next();
    // A wake-up that is due already was late once: the same lateness must not be counted with every event.
    state.expected = std::max(state.step.wake_at, state.now);
    return std::exchange(state.step, Step{});
}

/// Whoever still sits there attaches again; nobody else holds a desktop for ever.
void detach_everybody(State& state) {
    std::vector<TerminalId> attached;
    for (const auto& [id, terminal] : state.terminals.rows()) {
        if (terminal.state == TerminalState::attached) attached.push_back(id);
    }
    for (const TerminalId id : attached) {
        change_terminal(state, id, [&](TerminalRecord& record) {
            record.state = TerminalState::detached;
            record.detached_wall_ms = state.wall_ms;
        });
    }
    for (const auto& [id, terminal] : state.terminals.rows()) on_terminal_timer(state, id);
}

struct Handler {
    State& state;
    void operator()(const NodeSaid& event) const { on_node_said(state, event); }
    void operator()(const NodeDisconnected& event) const { on_node_disconnected(state, event.node); }
    void operator()(const ClientSaid& event) const { on_client_said(state, event); }
    void operator()(const ClientGone& event) const { on_client_gone(state, event.client); }
    void operator()(const InstanceEnded& event) const { on_instance_ended(state, event); }
    void operator()(const OperationDone& event) const { on_operation_done(state, event); }
    void operator()(const HostListed& event) const { on_host_listed(state, event); }
    void operator()(const ImagesKnown& event) const { state.images = {event.images.begin(), event.images.end()}; }
    void operator()(const Echoed& event) const { mark(state, event.incident, "durable"); }
    void operator()(const Woken&) const { fire_due(state); }
    void operator()(const Intent& event) const { on_intent(state, event); }
    void operator()(const StoreState& event) const {
        if (event.failing && !state.store_failing) {
            note(state, Note::Weight::alarm, {}, "the store does not take records: " + event.reason +
                                                     "; what runs goes on, nothing new is promised");
        }
        state.store_failing = event.failing;
        state.store_reason = event.reason;
    }
};

}  // namespace

std::uint64_t take_id(State& state) { return state.manager.edit().next_id++; }

OperationId take_operation(State& state) {
    return OperationId(state.manager.get().incarnation << 32 | ++state.next_operation);
}

Core::Core(std::unique_ptr<State> state) : state_(std::move(state)) {}
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;
Core::~Core() = default;

Result<Core> Core::load(const Settings& settings, const Image& image) {
    auto state = std::make_unique<State>(settings);
    if (auto read = read_image(*state, image); !read) return tl::unexpected(read.error());
    rebuild_index(*state);
    return Core(std::move(state));
}

Step Core::start(Moment now) {
    State& state = *state_;
    state.now = now.at;
    state.wall_ms = now.wall_ms;
    state.started = now.at;
    state.started_wall_ms = now.wall_ms;
    ++state.manager.edit().incarnation;
    const Duration lease = lease_with_margin(state);
    for (const auto& [id, node] : state.nodes.rows()) {
        NodeLive& live = state.live[id];
        live.heard = live.sign = state.fair();
        live.lease_until = now.at + lease;
        live.state_since = now.at;
        if (node.proof != Proof::none) live.health = Health::down;
    }
    begin_rebuild(state);
    for (const auto& [id, session] : state.sessions.rows()) {
        SessionLive& live = state.session_live[id];
        if (session.primary) live.holders.insert(session.primary);
        live.holders.insert(session.backups.begin(), session.backups.end());
    }
    for (const auto& [id, terminal] : state.terminals.rows()) {
        TerminalLive& live = state.terminal_live[id];
        if (terminal.presentation) live.holders.insert(terminal.presentation);
        live.holders.insert(terminal.backups.begin(), terminal.backups.end());
        queue_terminal(state, id);
    }
    detach_everybody(state);
    for (const auto& [id, incident] : state.incidents.rows()) {
        if (!incident.open) continue;  // what was under way goes on in its own record
        const std::int64_t age_ms = std::max<std::int64_t>(now.wall_ms - incident.opened_wall_ms, 0);
        state.incident_start[id] = now.at - std::chrono::milliseconds(age_ms);
        if (incident.session) state.session_live[incident.session].incident = id;
        else state.terminal_live[incident.terminal].incident = id;
    }
    for (const auto& [id, host] : state.hosts.rows()) on_host_timer(state, id);
    resume_operations(state);
    resume_fencing(state);
    for (const auto& [id, node] : state.nodes.rows()) arm_node(state, id);
    return finish(state, true);
}

Step Core::handle(Moment now, const Event& event) {
    State& state = *state_;
    const Duration tick = state.settings.tick;
    const bool new_tick = now.at.time_since_epoch() / tick != state.now.time_since_epoch() / tick;
    if (new_tick) state.witness_requests = 0;
    state.now = now.at;
    state.wall_ms = now.wall_ms;
    measure_stall(state);
    state.expected = kNever;
    std::visit(Handler{state}, event);
    return finish(state, new_tick);
}

Core Core::copy() const { return Core(std::make_unique<State>(*state_)); }

Step Core::imagine_gone(Moment now, HostId host) {
    State& state = *state_;
    state.now = now.at;
    state.wall_ms = now.wall_ms;
    state.settings.refill_rest = Duration{0};  // what would be made is asked, not how soon
    state.refill_from = {};
    HostLive& live = state.host_live[host];
    live.listed = true;
    now_silent(state, host, "it is gone");
    const std::set<NodeId> nodes = live.nodes;
    for (const NodeId id : nodes) prove_down(state, id, Proof::instance_ended, "its host died", now.at);
    state.pools_dirty = true;
    return finish(state, true);
}

const State& Core::state() const { return *state_; }
Image Core::durable_image() const { return write_image(*state_); }

}  // namespace understudy::manager
