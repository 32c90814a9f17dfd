// Life of instances: hypervisor operations with retries, inventories, returning what nobody uses.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::uint32_t kRestDoublings = 4;
constexpr std::uint32_t kPatienceDoublings = 4;

/// The answer to a deployment is overdue, or it failed a while ago.
void repeat_deployment(State& state, NodeId id) {
    NodeLive& live = state.live[id];
    if (live.operation) state.operations.erase(live.operation);
    live.operation = {};
    live.deploying.clear();
    live.retry_at = kNever;
    plan_deployment(state, id);
}

void repeat(State& state, NodeId id) {
    switch (state.nodes.at(id).state) {
        case NodeState::creating: start_create(state, id); break;
        case NodeState::scrubbing: start_scrub(state, id); break;
        case NodeState::condemned: start_destroy(state, id); break;
        case NodeState::resuming: start_resume(state, id); break;
        case NodeState::idle:
        case NodeState::serving: repeat_deployment(state, id); break;
        case NodeState::booting:
        case NodeState::paused: break;
    }
}

void expect_boot(State& state, NodeId id, const Done& done, const char* reason) {
    change_node(state, id, [&](NodeRecord& record) {
        record.state = NodeState::booting;
        record.role = Role::none;
        record.door = done.door;
        record.receipt = done.receipt;
        record.environments.clear();
        record.reason = reason;
        record.proof = Proof::none;
        record.proof_text.clear();
        record.proof_wall_ms = 0;
    });
    NodeLive& live = state.live[id];
    live.health = Health::unknown;
    live.registration = 0;
    live.pending.clear();
    live.sessions.clear();
    live.desktops.clear();
    live.sent_sessions.clear();
    live.sent_desktops.clear();
    live.attempts = 0;
    live.last_error.clear();
    live.environments.clear();
    live.failed_deploys.clear();
    live.given_up = false;
    live.evidence.clear();
    live.evidence_at = live.detected_at = live.proven_at = kNever;
    live.boot_deadline = state.now + state.settings.boot_limit;
    arm_node(state, id);
}

void now_stands_still(State& state, NodeId id, const Done& done) {
    UNDERSTUDY_MARK("provisioning.stands_still");
    stands_still(state, id);
    state.live[id].attempts = 0;
    state.live[id].last_error.clear();
    change_node(state, id, [&](NodeRecord& record) {
        record.state = NodeState::paused;
        record.door = done.door;
        record.reason = "stands still until it is needed";
    });
}

/// Only a receipt makes a used machine a clean one.
void scrubbed(State& state, NodeId id, const Done& done) {
    state.live[id].asked_for = kNever;
    if (!done.receipt.empty() || UNDERSTUDY_PLANTED("receipt_ignored")) {
        expect_boot(state, id, done, "scrubbed; its agent is expected");
        return;
    }
    UNDERSTUDY_MARK("provisioning.no_receipt");
    condemn(state, id, "scrubbed without a receipt: nobody verified what is left on it");
}

/// One more failure of its kind in a row; after several it rests, each time longer. True: a rest begins.
bool trip(const State& state, Breaker& breaker, std::string why) {
    ++breaker.failures;
    breaker.reason = std::move(why);
    if (breaker.failures < state.settings.create_attempts || breaker.until > state.now) return false;
    breaker.until = state.now + state.settings.pool_pause * (1 << std::min(breaker.rests, kRestDoublings));
    ++breaker.rests;
    return true;
}

/// The tier of machines that stand still rests; the rest of the pool goes on.
void standing_failed(State& state, NodeId id, const Error& error) {
    const NodeRecord& node = state.nodes.at(id);
    PoolLive& pool = state.pool_live[node.flavour];
    const bool resumes = node.state == NodeState::resuming;
    Breaker& breaker = resumes ? pool.resumption : pool.stand_still;
    if (!trip(state, breaker, error.message)) return;
    note(state, Note::Weight::notice, {},
         "pool " + node.flavour + (resumes ? " lets no machine continue for " : " makes no machine stand still for ") +
             std::to_string(to_ms(breaker.until - state.now) / 1000) + " s: " + breaker.reason);
}

/// Making it failed for good.
void creation_given_up(State& state, NodeId id, const Error& error) {
    UNDERSTUDY_MARK("provisioning.creation_given_up");
    const std::string& words = error.message;
    const NodeRecord& node = state.nodes.at(id);
    if (node.tier == Tier::running) creation_failed(state, id, words);
    else standing_failed(state, id, error);
    if (node.tier == Tier::paused && error.code != ErrorCode::refused) ++state.host_live[node.host].creation_failures;
    const bool forgets = node.tier == Tier::paused && UNDERSTUDY_PLANTED("standing_forgotten");
    if (forgets || UNDERSTUDY_PLANTED("leak_after_failed_creation")) {
        erase_node(state, id);
        return;
    }
    condemn(state, id, (node.state == NodeState::resuming ? "could not continue: " : "could not be created: ") + words);
}

/// A creation failed, certainly, and not for the last time: another host may have better luck.
bool goes_elsewhere(State& state, NodeId id, const std::string& words) {
    const NodeRecord& node = state.nodes.at(id);
    PoolLive& pool = state.pool_live[node.flavour];
    if (pool.moves >= state.settings.create_attempts) return false;
    ++state.host_live[node.host].creation_failures;
    if (!may_go_elsewhere(state, node)) {
        --state.host_live[node.host].creation_failures;
        return false;
    }
    UNDERSTUDY_MARK("provisioning.goes_elsewhere");
    ++pool.moves;
    if (node.tier == Tier::running) pool.reason = words;
    condemn(state, id, "could not be created: " + words + "; another host is tried");
    return true;
}

/// A proof that the manager made itself says so.
std::string why_destroyed(const State& state, NodeId id) {
    const Duration silent_for = state.live.at(id).silent_for;
    if (silent_for != Duration{0}) return "destroyed by the manager after " + seconds_text(to_ms(silent_for)) + " of silence";
    const std::string& reason = state.nodes.at(id).reason;
    return "destroyed by the manager" + (reason.empty() ? "" : ": " + reason);
}

void on_success(State& state, NodeId id, const Done& done) {
    const NodeRecord& node = state.nodes.at(id);
    switch (node.state) {
        case NodeState::creating:
            if (node.tier == Tier::paused) now_stands_still(state, id, done);
            else expect_boot(state, id, done, "created; its agent is expected");
            break;
        case NodeState::resuming: expect_boot(state, id, done, "continues; its agent is expected"); break;
        case NodeState::scrubbing: scrubbed(state, id, done); break;
        case NodeState::condemned:
            prove_down(state, id, Proof::destroyed, why_destroyed(state, id), state.now);
            state.live[id].destroyed = true;
            finish_node(state, id);
            break;
        case NodeState::idle:
        case NodeState::serving: on_deployed(state, id); break;
        case NodeState::booting:
        case NodeState::paused: break;
    }
}

/// Is another try of the same machine pointless? One that was to continue is replaced at once: nobody waits for a
/// second try while another could be made.
bool hopeless(const NodeRecord& node, const Error& error, bool gives_up) {
    if (node.state == NodeState::resuming) {
        UNDERSTUDY_MARK("provisioning.resume_failed");
        return true;
    }
    return node.state == NodeState::creating && (gives_up || (node.tier == Tier::paused && error.code == ErrorCode::refused));
}

void on_failure(State& state, NodeId id, const Error& error) {
    const NodeRecord& node = state.nodes.at(id);
    NodeLive& live = state.live[id];
    live.last_error = error.message;
    const bool certain = error.code != ErrorCode::unknown_outcome;
    if (!certain) UNDERSTUDY_MARK("provisioning.outcome_unknown");
    if (UNDERSTUDY_PLANTED("double_creation") && !certain && node.state == NodeState::creating) {
        erase_node(state, id);
        return;
    }
    if (certain) ++live.attempts;
    if (error.code == ErrorCode::unavailable) {  // nothing new is asked of it until it lists its instances again
        now_silent(state, node.host, error.message);
        if (node.state == NodeState::condemned) consider_fencing(state, node.host);
    }
    const bool deploys = node.state == NodeState::idle || node.state == NodeState::serving;
    if (deploys && certain) {
        on_deploy_failed(state, id, error);
        return;
    }
    if (deploys) live.failed_deploys.insert(live.deploying);
    const bool gives_up = live.attempts >= state.settings.create_attempts;
    if (certain && hopeless(node, error, gives_up)) {
        creation_given_up(state, id, error);
        return;
    }
    if (certain && node.state == NodeState::creating && goes_elsewhere(state, id, error.message)) return;
    if (gives_up && node.state == NodeState::scrubbing) {
        condemn(state, id, "could not be scrubbed: " + error.message);
        return;
    }
    const std::uint32_t doublings = std::min(live.attempts, kRetryDoublings);
    live.retry_at = state.now + state.settings.operation_retry * (1 << doublings) / 2;
    note(state, Note::Weight::notice, {}, describe(state, id) + ": " + error.message + "; trying again");
    arm_node(state, id);
}

bool on_orphan_done(State& state, const OperationDone& event) {
    const auto orphan = std::find_if(state.orphans.begin(), state.orphans.end(), [&](const auto& entry) {
        return entry.second.operation == event.operation;
    });
    if (orphan == state.orphans.end()) return false;
    state.orphans.erase(orphan);  // a failure is seen again in the next inventory
    return true;
}

/// Was the node in its present state before the hypervisor was asked?
bool settled(const State& state, NodeId id, TimePoint asked) {
    const NodeLive& live = state.live.at(id);
    return (!live.operation || !live.deploying.empty()) && live.state_since <= asked;
}

void destroy_orphan(State& state, HostId host, NodeId instance) {
    const auto known = state.orphans.find({host, instance});
    if (known != state.orphans.end() && state.now < known->second.asked + state.settings.operation_patience) return;
    const OperationId operation = take_operation(state);
    state.orphans[{host, instance}] = {operation, state.now};
    if (state.manager.get().next_id <= instance.value) state.manager.edit().next_id = instance.value + 1;
    note(state, Note::Weight::notice, {}, "instance " + to_string(instance) + " carries our mark and is in no record: it is destroyed");
    act_durable(state, DestroyInstance{operation, host, instance});
}

/// The pool is full. Does an idle machine make way for one that comes back on a host with fewer of them? One
/// host that fails must not take all idle machines with it.
bool makes_way(State& state, const PoolLive& pool, HostId host) {
    std::map<HostId, std::size_t> spare;
    for (const NodeId id : pool.idle) ++spare[state.nodes.at(id).host];
    for (const NodeId id : pool.coming) ++spare[state.nodes.at(id).host];
    NodeId crowded;
    std::size_t most = spare[host] + 1;
    for (const NodeId id : pool.idle) {
        const std::size_t there = spare[state.nodes.at(id).host];
        if (there <= most) continue;
        crowded = id;
        most = there;
    }
    if (crowded) condemn(state, crowded, "the pool has enough, and most of it on this host");
    return static_cast<bool>(crowded);
}

}  // namespace

void begin_operation(State& state, NodeId id) {
    NodeLive& live = state.live[id];
    if (live.operation) state.operations.erase(live.operation);
    live.operation = take_operation(state);
    // A hypervisor that is always slower than our patience would otherwise be asked anew for ever, each answer too late.
    live.operation_due = state.now + state.settings.operation_patience * (1 << std::min(live.unanswered, kPatienceDoublings));
    live.retry_at = kNever;
    live.deploying.clear();
    state.operations[live.operation] = id;
    arm_node(state, id);
}

void creation_failed(State& state, NodeId id, std::string why) {
    const NodeRecord& node = state.nodes.at(id);
    ++state.host_live[node.host].creation_failures;
    PoolLive& pool = state.pool_live[node.flavour];
    ++pool.failures;
    pool.reason = std::move(why);
    if (pool.failures < state.settings.create_attempts || pool.paused_until > state.now) return;
    pool.paused_until = state.now + state.settings.pool_pause;
    note(state, Note::Weight::alarm, {},
         "pool " + node.flavour + " rests for " + std::to_string(to_ms(state.settings.pool_pause) / 1000) +
             " s: making machines keeps failing: " + pool.reason);
}

void start_create(State& state, NodeId id) {
    begin_operation(state, id);
    const NodeRecord& node = state.nodes.at(id);
    const PoolRecord* pool = state.pools.find(node.flavour);
    act_durable(state, CreateInstance{state.live[id].operation, node.host, id, node.flavour,
                                      pool == nullptr ? "" : pool->image, node.vcpus, node.memory_mib, node.slots, node.disk_mib, node.tier});
}

void start_resume(State& state, NodeId id) {
    begin_operation(state, id);
    act_durable(state, ResumeInstance{state.live[id].operation, state.nodes.at(id).host, id});
}

void start_scrub(State& state, NodeId id) {
    begin_operation(state, id);
    act_durable(state, ScrubInstance{state.live[id].operation, state.nodes.at(id).host, id});
}

void start_destroy(State& state, NodeId id) {
    begin_operation(state, id);
    act_durable(state, DestroyInstance{state.live[id].operation, state.nodes.at(id).host, id});
}

void on_operation_done(State& state, const OperationDone& event) {
    if (on_orphan_done(state, event) || on_fence_done(state, event)) return;
    const auto found = state.operations.find(event.operation);
    if (found == state.operations.end()) {
        ++state.oddities.unknown_operation;
        return;
    }
    const NodeId id = found->second;
    state.operations.erase(found);
    state.pools_dirty = true;
    if (state.nodes.find(id) == nullptr || state.live[id].operation != event.operation) return;
    state.live[id].operation = {};
    state.live[id].unanswered = 0;
    if (event.outcome) on_success(state, id, *event.outcome);
    else on_failure(state, id, event.outcome.error());
}

void check_operation(State& state, NodeId id) {
    NodeLive& live = state.live[id];
    const bool unanswered = live.operation && state.now >= live.operation_due;
    if (unanswered) ++live.unanswered;
    if (unanswered || state.now >= live.retry_at) repeat(state, id);
}

void resume_operations(State& state) {
    std::vector<NodeId> unfinished;
    for (const auto& [id, node] : state.nodes.rows()) {
        if (node.state == NodeState::booting) state.live[id].boot_deadline = state.now + state.settings.boot_limit;
        else if (node.state != NodeState::idle && node.state != NodeState::serving && node.state != NodeState::paused) unfinished.push_back(id);
    }
    for (const NodeId id : unfinished) repeat(state, id);
}

void on_host_timer(State& state, HostId id) {
    if (state.hosts.find(id) == nullptr) return;
    HostLive& host = state.host_live[id];
    const bool overdue = host.listing && state.now - host.list_sent >= state.settings.operation_patience;
    if (overdue) {
        UNDERSTUDY_MARK("provisioning.listing_overdue");
        host.listed = true;
        state.pools_dirty = true;
        now_silent(state, id, "it has not said for " + std::to_string(to_ms(state.now - host.list_sent) / 1000) + " s what runs there");
    }
    if (!host.listing || overdue) {
        host.listing = true;
        host.list_sent = state.now;
        act_now(state, ListInstances{id});
    }
    state.timers.arm({TimerKind::host, id.value}, state.now + state.settings.inventory_interval);
}

void on_host_listed(State& state, const HostListed& event) {
    const auto found = state.host_live.find(event.host);
    if (found == state.host_live.end() || state.hosts.find(event.host) == nullptr || !found->second.listing) {
        ++state.oddities.unknown_operation;
        return;
    }
    HostLive& host = found->second;
    host.listing = false;
    state.pools_dirty = true;
    const bool back = !host.reachable && event.instances.has_value();
    host.listed = true;
    if (!event.instances) {
        now_silent(state, event.host, event.instances.error().message);
        return;
    }
    now_answers(state, event.host);
    shows_life(state, event.host, host.list_sent);
    std::set<NodeId> running;
    for (const ListedInstance& instance : *event.instances) {
        const NodeRecord* node = state.nodes.find(instance.id);
        const bool adopts = state.hosts.at(event.host).adopts;
        if (node == nullptr || node->host != event.host || adopts) {
            if (adopts && !UNDERSTUDY_PLANTED("destroys_strangers_after_loss")) adopt_instance(state, event.host, instance);
            else if (node == nullptr || node->host != event.host) destroy_orphan(state, event.host, instance.id);
        }
        if (instance.running) running.insert(instance.id);
    }
    if (state.hosts.at(event.host).adopts && !rebuilding(state)) state.hosts.edit(event.host).adopts = false;
    const std::set<NodeId> known = host.nodes;
    for (const NodeId id : known) {
        if (NodeLive& live = state.live[id]; back && live.retry_at != kNever) {
            live.retry_at = state.now;  // what failed while it did not answer need not wait any longer
            arm_node(state, id);
        }
        if (back) plan_deployment(state, id);
        const NodeRecord& node = state.nodes.at(id);
        if (node.kind != NodeKind::instance || running.contains(id) || !settled(state, id, host.list_sent)) continue;
        if (node.state == NodeState::booting || node.state == NodeState::idle || node.state == NodeState::serving || node.state == NodeState::paused) {
            prove_down(state, id, Proof::instance_ended, "its hypervisor lists it as not running", host.list_sent);
        }
    }
}

void finish_node(State& state, NodeId id) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr || node->state != NodeState::condemned || !state.live[id].destroyed) return;
    if (state.uses[id].count() == 0) erase_node(state, id);
    else queue_users(state, id);
}

void return_unused(State& state) {
    if (rebuilding(state)) return;  // somebody may claim it yet
    const std::set<NodeId> unused = state.unused;
    for (const NodeId id : unused) {
        const NodeRecord& node = state.nodes.at(id);
        if (node.state == NodeState::condemned) {
            finish_node(state, id);
            continue;
        }
        if (node.proof != Proof::none) continue;
        if (node.kind == NodeKind::enrolled) {
            const NodeLive& live = state.live[id];
            if (!live.sessions.empty() || !live.desktops.empty()) continue;  // it has not let go yet
            change_node(state, id, [](NodeRecord& record) {
                record.state = NodeState::idle;
                record.role = Role::none;
                record.reason = "returned";
            });
            continue;
        }
        const PoolRecord* pool = state.pools.find(node.flavour);
        const PoolLive& live = state.pool_live[node.flavour];
        if (pool == nullptr || draining(state, node)) {
            condemn(state, id, pool == nullptr ? "its pool is gone" : node.draining ? "it was drained and is free now" : "its host is in maintenance and it is free now");
            continue;
        }
        if (above_max_total(live, *pool) > 0) {
            condemn(state, id, "returned, and the pool has more machines than max_total");
            continue;
        }
        if (live.idle.size() + live.coming.size() >= pool->max_idle && !makes_way(state, live, node.host)) {
            UNDERSTUDY_MARK("provisioning.pool_has_enough");
            condemn(state, id, "returned, and the pool has enough");
            continue;
        }
        if (UNDERSTUDY_PLANTED("scrub_skipped")) {
            change_node(state, id, [](NodeRecord& record) {
                record.state = NodeState::idle;
                record.role = Role::none;
            });
            continue;
        }
        UNDERSTUDY_MARK("provisioning.scrubs");
        NodeLive& node_live = state.live[id];
        node_live.registration = 0;
        node_live.pending.clear();
        node_live.attempts = 0;
        change_node(state, id, [](NodeRecord& record) {
            record.state = NodeState::scrubbing;
            record.reason = "returned; being scrubbed";
        });
        start_scrub(state, id);
    }
}

}  // namespace understudy::manager
