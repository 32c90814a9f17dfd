// Signs of life and their absence: registration, heartbeats, suspicion, silence, the mass-failure gate.
// Suspicion prepares; silence asks for proof; nothing here moves an execution primary.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kPendingRegistrations = 8;

/// May this node be registered and hold a lease at all?
bool may_register(const NodeRecord& node) {
    return node.state == NodeState::booting || node.state == NodeState::idle || node.state == NodeState::serving;
}

bool expected(const NodeRecord& node) {
    return (node.state == NodeState::idle || node.state == NodeState::serving) && node.proof == Proof::none;
}

/// A gap that is unusual for this node's own history; method: mean plus four deviations, as TCP does for
/// its retransmission time-out.
Duration late_after(const State& state, const NodeLive& live) {
    const Duration usual = std::max(live.gap + 4 * live.gap_spread, state.settings.heartbeat * 2);
    return std::min(usual, state.settings.silence);
}

/// Does somebody wait for proof that this node does not act?
bool owes_proof(const State& state, NodeId id, const NodeRecord& node, const NodeLive& live) {
    if (node.proof != Proof::none || (!live.given_up && node.state != NodeState::condemned)) return false;
    const auto uses = state.uses.find(id);
    return uses != state.uses.end() && uses->second.count() != 0;
}

void refuse(State& state, NodeId id, std::uint64_t registration, std::string reason) {
    act_now(state, SendToNode{id, NotRegistered{registration, std::move(reason)}});
}

void forget_trouble(State& state, NodeId id, NodeLive& live) {
    live.broken = kNever;
    live.reached_until = live.witness_asked = kNever;
    live.missed = false;
    live.given_up = false;
    live.held_by_gate = false;
    live.alone_with.clear();
    live.silent_for = Duration{0};
    live.evidence.clear();
    live.evidence_at = live.detected_at = live.proven_at = kNever;
    state.gate.held.erase(id);
}

void heard(State& state, NodeId id, NodeLive& live) {
    const Duration gap = state.fair() - live.heard;
    const Duration deviation = gap > live.gap ? gap - live.gap : live.gap - gap;
    live.gap += (gap - live.gap) / 8;
    live.gap_spread += (deviation - live.gap_spread) / 4;
    live.heard = state.fair();
    live.missed = false;  // also of one whose history excuses it: it may be missed and still be called healthy
    if (live.health == Health::healthy) return;
    live.health = Health::healthy;
    forget_trouble(state, id, live);
    refresh_node(state, id);
    queue_users(state, id);
    arm_node(state, id);
}

void on_hello(State& state, NodeId id, const Hello& hello) {
    const NodeRecord& node = state.nodes.at(id);
    NodeLive& live = state.live[id];
    if (hello.node != id) {
        ++state.oddities.unknown_node;
        refuse(state, id, 0, "the key belongs to node " + to_string(id) + ", not to node " + to_string(hello.node));
        return;
    }
    if (!may_register(node)) {
        const bool unconfirmed = node.state == NodeState::creating || node.state == NodeState::resuming;
        refuse(state, id, 0, unconfirmed ? "its creation is not confirmed yet; try again in a moment" : "this node is not in use: " + node.reason);
        return;
    }
    if (state.hosts.at(node.host).power == Power::going_off) {
        refuse(state, id, 0, "its host is being switched off");
        return;
    }
    if (rebuilding(state) && state.now >= state.rebuild.until) {  // no more leases: the last ones are waited for
        refuse(state, id, 0, "the records are being rebuilt; try again in a moment");
        return;
    }
    const std::uint64_t registration = state.manager.get().incarnation << 32 | ++state.next_registration;
    if (live.pending.size() >= kPendingRegistrations) live.pending.erase(live.pending.begin());
    live.pending.push_back({registration, hello});
    live.lease_until = std::max(live.lease_until, state.now + lease_with_margin(state));
    Welcome welcome;
    welcome.registration = registration;
    welcome.incarnation = hello.incarnation;
    welcome.hello = hello.number;
    welcome.heartbeat_ms = static_cast<std::uint32_t>(to_ms(state.settings.heartbeat));
    welcome.lease_ms = static_cast<std::uint32_t>(to_ms(state.settings.lease));
    act_durable(state, SendToNode{id, std::move(welcome)});
}

/// The node has used the Welcome: its inventory of that moment is what it has.
void activate(State& state, NodeId id, NodeLive& live, const PendingRegistration& pending) {
    const PendingRegistration chosen = pending;
    live.pending.clear();
    live.registration = chosen.registration;
    live.incarnation = chosen.hello.incarnation;
    live.software = chosen.hello.software;
    live.can_checkpoint = chosen.hello.can_checkpoint;
    live.checkpoint_reason = chosen.hello.checkpoint_reason;
    live.sent_sessions.clear();
    live.sent_desktops.clear();
    live.resend_at = kNever;
    live.health = Health::healthy;
    live.heard = state.fair();
    live.gap = state.settings.heartbeat;
    live.gap_spread = state.settings.heartbeat / 4;
    forget_trouble(state, id, live);
    const NodeRecord& node = state.nodes.at(id);
    if (node.state == NodeState::booting && !node.adopted) {  // now it is proven that machines can be made there
        made_one(state, id);
    }
    if (node.state == NodeState::booting || node.proof != Proof::none) {
        change_node(state, id, [](NodeRecord& record) {
            if (record.state == NodeState::booting) record.state = NodeState::idle;
            record.proof = Proof::none;
            record.proof_text.clear();
            record.proof_wall_ms = 0;
            record.reason = "registered";
        });
        live.boot_deadline = kNever;
    }
    if (node.door.key != chosen.hello.door_key) {
        change_node(state, id, [&](NodeRecord& record) { record.door.key = chosen.hello.door_key; });
    }
    take_claims(state, id, chosen.hello);
    adopt_inventory(state, id, chosen.hello);
    plan_deployment(state, id);
    refresh_node(state, id);
    queue_users(state, id);
    arm_node(state, id);
}

std::uint64_t registration_of(const Message& message) {
    return std::visit(
        [](const auto& body) -> std::uint64_t {
            if constexpr (requires { body.registration; }) return body.registration;
            else return 0;
        },
        message);
}

void on_heartbeat(State& state, NodeId id, NodeLive& live, const Heartbeat& heartbeat) {
    live.load_permille = heartbeat.load_permille;
    live.memory_used_mib = heartbeat.memory_used_mib;
    live.lease_until = std::max(live.lease_until, state.now + lease_with_margin(state));
    act_now(state, SendToNode{id, HeartbeatAck{heartbeat.registration, heartbeat.sequence}});
}

void on_registered_message(State& state, NodeId id, NodeLive& live, const Message& message) {
    if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) on_heartbeat(state, id, live, *heartbeat);
    else if (const auto* session = std::get_if<SessionStatus>(&message)) on_session_status(state, id, *session);
    else if (const auto* desktop = std::get_if<DesktopStatus>(&message)) on_desktop_status(state, id, *desktop);
    else if (const auto* layout = std::get_if<LayoutReport>(&message)) on_layout(state, id, *layout);
    else if (const auto* witness = std::get_if<WitnessReport>(&message)) on_witness_report(state, id, *witness);
    else ++state.oddities.unexpected_message;
}

void give_up(State& state, NodeId id, NodeLive& live) {
    if (live.given_up) return;
    live.held_by_gate = false;
    state.gate.held.erase(id);
    live.alone_with.clear();
    live.given_up = true;
    live.silent_for = state.fair() - live.heard;
    const NodeRecord& node = state.nodes.at(id);
    std::string reason = "silent for " + std::to_string(to_ms(state.fair() - live.heard)) + " ms";
    if (reached_by_witnesses(state, id)) reason += "; others reach it, but its lease is over";
    if (node.kind == NodeKind::instance) {
        condemn(state, id, reason);
        return;
    }
    consider_fencing(state, node.host);
    const bool proven = state.nodes.at(id).proof != Proof::none;  // its host is off
    note(state, Note::Weight::notice, {}, describe(state, id) + " is " + reason + (proven ? "" : "; waiting for proof"));
    refresh_node(state, id);
    queue_users(state, id);
}

/// Unless it alone has the memory of a session: then it is waited for, and this is asked again.
void give_up_unless_awaited(State& state, NodeId id, NodeLive& live) {
    live.held_by_gate = false;
    state.gate.held.erase(id);
    if (!waits_for_last_memory(state, id, live)) give_up(state, id, live);
}

/// Too many at once: the fault is more likely here than there.
void watch_mass_failure(State& state) {
    GateState& gate = state.gate;
    while (!gate.missed.empty() && gate.missed.front() < state.fair() - state.settings.gate_window) {
        gate.missed.pop_front();
    }
    const std::uint64_t share = static_cast<std::uint64_t>(gate.population) * state.settings.gate_permille / 1000;
    if (gate.closed || gate.missed.size() <= std::max<std::uint64_t>(share, state.settings.gate_minimum)) return;
    if (UNDERSTUDY_PLANTED("no_mass_gate")) return;
    UNDERSTUDY_MARK("detection.gate_closed");
    gate.closed = true;
    gate.closed_at = state.now;
    gate.reason = std::to_string(gate.missed.size()) + " of " + std::to_string(gate.population) +
                  " nodes fell silent together; the fault may be the manager's own, so they are held";
    state.timers.arm({TimerKind::gate, 0}, state.now + state.settings.gate_pace);
    note(state, Note::Weight::alarm, {}, gate.reason);
}

/// Counted before anybody is given up for it: whether many are missed together is known by then.
void miss(State& state, NodeLive& live) {
    live.missed = true;
    state.gate.missed.push_back(state.fair());
    watch_mass_failure(state);
}

void fall_silent(State& state, NodeId id, NodeLive& live) {
    UNDERSTUDY_MARK("detection.silent");
    live.health = Health::silent;
    live.evidence = "no sign for " + std::to_string(to_ms(state.fair() - live.heard)) + " ms";
    live.evidence_at = live.heard + state.stalled;
    live.detected_at = state.now;
    refresh_node(state, id);
}

/// Only its path to the manager is broken, and its lease can last: it has not frozen itself yet.
bool keeps_working(const State& state, NodeId id, const NodeLive& live) {
    return reached_by_witnesses(state, id) && state.now < live.lease_until;
}

/// What a node that should be heard owes by now.
void check_signs(State& state, NodeId id, NodeLive& live) {
    const TimePoint fair = state.fair();
    const Duration gap = fair - live.heard;
    if (live.health == Health::healthy && gap >= late_after(state, live)) {
        live.health = Health::suspect;
        live.evidence = "late for its own history";
        live.evidence_at = state.now;
        live.detected_at = state.now;
        refresh_node(state, id);
    }
    const bool may_fall_silent = live.health < Health::silent;
    if (may_fall_silent && !live.missed && gap >= state.settings.silence - state.settings.gate_collect) miss(state, live);
    if (may_fall_silent && gap >= state.settings.silence) fall_silent(state, id, live);
    if (live.health == Health::suspect && live.broken != kNever &&
        fair - live.broken >= state.settings.suspect_grace) {
        queue_users(state, id);
    }
    ask_witnesses(state, id, live);
    if (live.health == Health::silent && !live.given_up && !live.held_by_gate) {
        const bool works = keeps_working(state, id, live);
        if (works) {
            UNDERSTUDY_MARK("detection.path_fault_waits");
        } else if (!live.alone_with.empty() && waits_for_last_memory(state, id, live)) {
            UNDERSTUDY_MARK("detection.memory_waits");
        } else if (state.gate.closed) {
            UNDERSTUDY_MARK("detection.held_by_gate");
            live.held_by_gate = true;
            state.gate.held.insert(id);
        } else {
            give_up_unless_awaited(state, id, live);
        }
    }
}

}  // namespace

Duration lease_with_margin(const State& state) {
    if (UNDERSTUDY_PLANTED("lease_drift_ignored")) return state.settings.lease;
    return state.settings.lease + state.settings.lease * state.settings.drift_permille / 1000;
}

void on_node_said(State& state, const NodeSaid& event) {
    const NodeRecord* node = state.nodes.find(event.from);
    if (node == nullptr) {
        ++state.oddities.unknown_node;
        if (rebuilding(state)) state.rebuild.unknown.insert(event.from);  // its hypervisor has yet to name it
        refuse(state, event.from, registration_of(event.message), "the manager does not know this node");
        return;
    }
    NodeLive& live = state.live[event.from];
    live.sign = state.fair();
    if (live.registration == 0) shows_life(state, node->host, state.now);
    if (const auto* hello = std::get_if<Hello>(&event.message)) {
        on_hello(state, event.from, *hello);
        return;
    }
    const std::uint64_t registration = registration_of(event.message);
    if (!may_register(*node)) {
        ++state.oddities.stale_registration;
        refuse(state, event.from, registration, "this node is not in use: " + node->reason);
        return;
    }
    if (registration == 0 || registration != live.registration) {
        const auto pending = std::find_if(live.pending.begin(), live.pending.end(), [&](const auto& entry) {
            return entry.registration == registration;
        });
        if (pending == live.pending.end()) {
            const std::uint64_t newest = state.manager.get().incarnation << 32 | state.next_registration;
            ++(registration > newest ? state.oddities.from_future : state.oddities.stale_registration);
            if (std::holds_alternative<Heartbeat>(event.message)) {
                refuse(state, event.from, registration, "this registration is not in effect");
            }
            return;
        }
        activate(state, event.from, live, *pending);
    }
    heard(state, event.from, live);
    on_registered_message(state, event.from, live, event.message);
}

void on_node_disconnected(State& state, NodeId id) {
    const auto found = state.live.find(id);
    if (found == state.live.end()) {
        ++state.oddities.unknown_node;
        return;
    }
    NodeLive& live = found->second;
    const bool late = live.health == Health::suspect && live.broken == kNever;
    if (live.health != Health::healthy && !late) return;
    live.health = Health::suspect;
    live.broken = state.fair();
    if (!late) {
        live.evidence = "its connection broke";
        live.evidence_at = live.detected_at = state.now;
    }
    if (const NodeRecord* node = state.nodes.find(id); node != nullptr && expected(*node)) ask_witnesses(state, id, live);
    refresh_node(state, id);
    arm_node(state, id);
}

void on_node_timer(State& state, NodeId id) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr) return;
    NodeLive& live = state.live[id];
    if (expected(*node)) check_signs(state, id, live);
    if (node->state == NodeState::booting && state.now >= live.boot_deadline) {
        const std::string why = "did not register within " + std::to_string(to_ms(state.settings.boot_limit) / 1000) + " s of its start";
        if (!node->adopted) creation_failed(state, id, describe(state, id) + " " + why);
        condemn(state, id, why);
    }
    if (owes_proof(state, id, *node, live) && state.now >= live.lease_until) {
        prove_down(state, id, Proof::lease_expired, "its lease and the drift margin are over", state.now);
    }
    if (owes_proof(state, id, *node, live)) consider_fencing(state, node->host);
    check_operation(state, id);
    if (state.now >= live.resend_at) resend_unconfirmed(state, id);
    arm_node(state, id);
}

void arm_node(State& state, NodeId id) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr) return;
    const NodeLive& live = state.live[id];
    TimePoint at = std::min(live.resend_at, live.retry_at);
    if (node->state == NodeState::booting) at = std::min(at, live.boot_deadline);
    const auto fair_at = [&](TimePoint fair) { at = std::min(at, fair + state.stalled); };
    if (expected(*node)) {
        if (live.health == Health::healthy) fair_at(live.heard + late_after(state, live));
        if (live.health < Health::silent) {
            fair_at(live.heard + state.settings.silence - (live.missed ? Duration{} : state.settings.gate_collect));
        }
        if (live.health == Health::suspect && live.broken != kNever &&
            state.fair() - live.broken < state.settings.suspect_grace) {
            fair_at(live.broken + state.settings.suspect_grace);
        }
        if (live.health == Health::silent && !live.given_up && keeps_working(state, id, live)) at = std::min(at, live.lease_until);
        if (!live.alone_with.empty()) {
            // Whether another node has come to have that memory is seen as soon as it says so, or with the next look.
            if (live.registration != 0) at = std::min(at, live.lease_until);
            at = std::min({at, waits_for_last_memory_until(state, live), state.now + state.settings.heartbeat});
        }
        if (reached_by_witnesses(state, id)) fair_at(live.reached_until);
        const bool doubted = live.health == Health::suspect || (live.health == Health::silent && !live.given_up && !live.held_by_gate);
        if (doubted && live.witness_asked != kNever) fair_at(live.witness_asked + state.settings.witness_interval);
    }
    if (owes_proof(state, id, *node, live)) {
        at = std::min(at, live.lease_until);
        const HostLive& host = state.host_live.at(node->host);
        if (host.fence_failures > 0 && !host.fence && host.fence_retry_at > state.now) at = std::min(at, host.fence_retry_at);
    }
    if (live.operation) at = std::min(at, live.operation_due);
    state.timers.arm({TimerKind::node, id.value}, at);
}

void on_gate_timer(State& state) {
    GateState& gate = state.gate;
    if (!gate.closed) return;
    watch_mass_failure(state);
    if (state.now - gate.closed_at >= state.settings.gate_hold && !gate.held.empty()) {
        const NodeId next = *gate.held.begin();
        gate.held.erase(next);
        give_up_unless_awaited(state, next, state.live[next]);
        arm_node(state, next);
    }
    if (gate.held.empty() && gate.missed.empty()) {
        gate.closed = false;
        gate.reason.clear();
        note(state, Note::Weight::notice, {}, "the mass-failure gate is open again");
        return;
    }
    state.timers.arm({TimerKind::gate, 0}, state.now + state.settings.gate_pace);
}

void release_gate(State& state) {
    const std::set<NodeId> held = std::exchange(state.gate.held, {});
    state.gate.closed = false;
    state.gate.reason.clear();
    state.gate.missed.clear();
    // Those that are missed and not held have had no verdict from anybody: they count anew, or they would never again.
    for (auto& [id, live] : state.live) {
        if (!std::exchange(live.missed, false) || live.held_by_gate) continue;
        arm_node(state, id);
    }
    for (const NodeId id : held) {
        give_up(state, id, state.live[id]);
        arm_node(state, id);
    }
}

}  // namespace understudy::manager
