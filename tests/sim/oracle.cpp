// See oracle.hpp: the safety promises. Liveness is in oracle_liveness.cpp.
#include "tests/sim/oracle.hpp"

#include <algorithm>

#include "protocol/pack.hpp"
#include "tests/sim/world.hpp"

namespace understudy::sim {

using namespace understudy::manager;

namespace {

constexpr std::size_t kActionsPerStep = 60'000;  ///< configuration of the largest site included

constexpr std::uint64_t kMostWishes = 2000;

std::string text(std::uint64_t number) { return std::to_string(number); }

template <class Record>
Record parse(const Write& write) {
    auto record = pack::parse<Record>(write.value);
    if (!record) throw Violation{Exit::safety, "S9", "record " + write.key + " does not decode: " + record.error().message};
    return *record;
}

bool starts_with(const std::string& key, const char* prefix) { return key.rfind(prefix, 0) == 0; }

}  // namespace

void Oracle::violated(const char* promise, std::string what) const {
    throw Violation{Exit::safety, promise, std::move(what)};
}

// ---------------------------------------------------------------------------- what becomes durable

void Oracle::committed(const Batch& batch) {
    std::set<NodeId> touched;
    for (const Write& write : batch.writes) apply(write, touched);
    for (const NodeId id : touched) {
        const auto node = nodes_.find(id);
        if (node != nodes_.end() && uses_[id] > static_cast<int>(node->second.slots)) {
            violated("S5", "node " + to_string(id) + " carries " + std::to_string(uses_[id]) + " assignments, it has " +
                               text(node->second.slots) + " slots");
        }
    }
    for (const Write& write : batch.writes) {
        if (starts_with(write.key, "session/") && !write.value.empty()) {
            const SessionRecord session = parse<SessionRecord>(write);
            check_apart(session.primary, session.backups, "session " + to_string(session.id));
        } else if (starts_with(write.key, "terminal/") && !write.value.empty()) {
            const TerminalRecord terminal = parse<TerminalRecord>(write);
            check_apart(terminal.presentation, terminal.backups, "the desktop of " + terminal.name);
        }
    }
}

void Oracle::records_replaced(const Image& image) {
    UNDERSTUDY_MARK("store.records_replaced");
    records_replaced_ = true;
    sessions_.clear();
    terminals_.clear();
    nodes_.clear();
    hosts_.clear();
    profiles_.clear();
    uses_.clear();
    creating_.clear();
    terminal_names_.clear();
    std::set<NodeId> touched;
    for (const auto& [key, value] : image) apply({key, value}, touched);
}

void Oracle::apply(const Write& write, std::set<NodeId>& touched) {
    const std::string number = write.key.substr(write.key.find('/') + 1);
    if (starts_with(write.key, "session/")) {
        const SessionId id(std::stoull(number));
        const auto before = sessions_.find(id);
        if (before != sessions_.end()) count_uses(before->second, -1, touched);
        ++commotion_;
        if (write.value.empty()) {
            sessions_.erase(id);
            return;
        }
        const SessionRecord after = parse<SessionRecord>(write);
        if (before != sessions_.end() && after.epoch < before->second.epoch) {
            violated("S2", "the epoch of session " + number + " fell from " + text(before->second.epoch) + " to " + text(after.epoch));
        }
        if (before != sessions_.end() && after.epoch == before->second.epoch && after.primary && before->second.primary &&
            after.primary != before->second.primary) {
            violated("S2", "epoch " + text(after.epoch) + " of session " + number + " went from node " +
                               to_string(before->second.primary) + " to node " + to_string(after.primary));
        }
        count_uses(after, 1, touched);
        sessions_[id] = after;
    } else if (starts_with(write.key, "terminal/")) {
        const TerminalId id(std::stoull(number));
        const auto before = terminals_.find(id);
        if (before != terminals_.end()) count_uses(before->second, -1, touched);
        if (write.value.empty()) {
            terminals_.erase(id);
            ++commotion_;
            return;
        }
        const TerminalRecord after = parse<TerminalRecord>(write);
        if (before == terminals_.end() || before->second.epoch != after.epoch || before->second.backups != after.backups ||
            before->second.presentation != after.presentation) {
            ++commotion_;
        }
        if (before != terminals_.end() && after.epoch < before->second.epoch) {
            violated("S2", "the epoch of the desktop of " + after.name + " fell");
        }
        count_uses(after, 1, touched);
        terminal_names_[after.name] = id;
        terminals_[id] = after;
    } else if (starts_with(write.key, "node/")) {
        const NodeId id(std::stoull(number));
        const auto before = nodes_.find(id);
        ++commotion_;
        if (write.value.empty()) {
            node_changed(id, before == nodes_.end() ? nullptr : &before->second, nullptr);
            nodes_.erase(id);
        } else {
            const NodeRecord after = parse<NodeRecord>(write);
            node_changed(id, before == nodes_.end() ? nullptr : &before->second, &after);
            nodes_[id] = after;
            touched.insert(id);
        }
    } else if (starts_with(write.key, "host/")) {
        const HostRecord host = parse<HostRecord>(write);
        hosts_[host.name] = host;
        if (host.power == Power::going_off) recorded_wishes_to_switch_off_.insert(host.name);
    } else if (starts_with(write.key, "pool/")) {
        pools_[number] = parse<PoolRecord>(write);
    } else if (starts_with(write.key, "environment/")) {
        environments_[number] = parse<EnvironmentRecord>(write);
    } else if (starts_with(write.key, "profile/")) {
        profiles_[number] = parse<ProfileRecord>(write);
    }
}

void Oracle::node_changed(NodeId id, const NodeRecord* before, const NodeRecord* after) {
    if (after == nullptr) {
        for (auto& [host, pending] : creating_) pending.erase(id);
        const SimNode* node = world_.site.find(id);
        if (node != nullptr && node->exists) violated("L3", "the record of node " + to_string(id) + " is erased, its instance exists");
        return;
    }
    if (before != nullptr && before->kind == NodeKind::instance && before->state == NodeState::serving &&
        after->state == NodeState::idle && after->receipt.empty()) {
        violated("S12", "node " + to_string(id) + " went back to the pool without having been scrubbed");
    }
    if (before != nullptr && before->state == NodeState::scrubbing && after->receipt.empty() && !after->adopted &&
        (after->state == NodeState::booting || after->state == NodeState::idle || after->state == NodeState::serving)) {
        violated("S12", "node " + to_string(id) + " goes back to the pool without a receipt for its scrub");
    }
    if (before != nullptr && before->state != NodeState::condemned && after->state == NodeState::condemned) {
        check_mass_failure(id, *after);
        check_last_memory(id, *after);
    }
    // A pool may shrink in quiet times; what serves may not be touched.
    if (calm_ && before != nullptr && before->state == NodeState::serving && after->state == NodeState::condemned) {
        violated("S10", "instance " + to_string(id) + " served and is given up though nothing is wrong: " + after->reason);
    }
}

/// An administrator may decide that the nodes are really gone; the answer comes after the records.
bool Oracle::gate_is_overridden() const {
    for (std::uint64_t request = 1; request < kMostWishes; ++request) {
        const Intent* wish = world_.open_wish(request);
        if (wish != nullptr && std::holds_alternative<OverrideGate>(wish->wish)) return true;
    }
    return false;
}

/// DESIGN.md section 5: when most of the nodes fall silent at once while they work, the manager suspects itself.
void Oracle::check_mass_failure(NodeId id, const NodeRecord& record) {
    const SimNode* node = world_.site.find(id);
    if (record.reason.rfind("silent", 0) != 0 || node == nullptr || !node->agent_runs() || node->paused()) return;
    if (gate_is_overridden()) {
        given_up_alive_.clear();
        return;
    }
    const TimePoint now = world_.kernel.now();
    std::erase_if(given_up_alive_, [&](TimePoint at) { return at < now - world_.settings.gate_window; });
    given_up_alive_.push_back(now);
    const auto works = std::count_if(nodes_.begin(), nodes_.end(), [](const auto& row) {
        return row.second.state == NodeState::idle || row.second.state == NodeState::serving;
    });
    // Those given up so far count among them again. The gate holds from its share on; what fell silent
    // one by one before, and is paced out after the hold, is allowed for.
    const std::size_t population = static_cast<std::size_t>(works) + given_up_alive_.size();
    const std::size_t allowed = population * (world_.settings.gate_permille + 250) / 1000 + 12;
    if (given_up_alive_.size() > allowed) {
        violated("gate", std::to_string(given_up_alive_.size()) + " of " + std::to_string(population) +
                                                " nodes that work were given up within one window");
    }
}

/// The last node that has the memory of a session is waited for, not destroyed for a silence that may be slowness. What
/// the manager cannot know is left out: a memory that is very young, one that others had a moment ago, sessions that
/// would start afresh anyway.
void Oracle::check_last_memory(NodeId id, const NodeRecord& record) {
    constexpr std::string_view kSilent = "silent for ";
    if (record.reason.rfind(kSilent, 0) != 0 || records_replaced_ || has_kind(world_.plan, FaultKind::start_failing) || has_kind(world_.plan, FaultKind::session_crash)) return;
    const std::int64_t silent_ms = std::stoll(record.reason.substr(kSilent.size()));
    if (silent_ms >= to_ms(world_.settings.silence + world_.settings.backup_grace)) return;
    if (gate_is_overridden()) return;
    const TimePoint known_since = heard_[id] - Duration(8'000'000);
    for (const auto& [session_id, session] : sessions_) {
        const bool member = session.primary == id || std::find(session.backups.begin(), session.backups.end(), id) != session.backups.end();
        if (!member || session.protection != Protection::checkpoint) continue;
        const auto since = world_.site.find(id)->memory_since(session_id, session.fresh_since);
        if (!since || *since > known_since || parted_[session_id] > world_now() - Duration(10'000'000)) continue;
        const bool elsewhere = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& row) {
            const SimNode* other = row.first == id ? nullptr : world_.site.find(row.first);
            return other != nullptr && other->memory_since(session_id, session.fresh_since);
        });
        if (!elsewhere) {
            violated("memory", "node " + to_string(id) + " is destroyed after " + text(static_cast<std::uint64_t>(silent_ms)) +
                                   " ms of silence, and nobody else has the memory of session " + to_string(session_id));
        }
    }
}

void Oracle::count_uses(const SessionRecord& session, int by, std::set<NodeId>& touched) {
    const auto count = [&](NodeId node) {
        uses_[node] += by;
        touched.insert(node);
    };
    if (session.primary) count(session.primary);
    for (const NodeId backup : session.backups) count(backup);
}

void Oracle::count_uses(const TerminalRecord& terminal, int by, std::set<NodeId>& touched) {
    const auto count = [&](NodeId node) {
        uses_[node] += by;
        touched.insert(node);
    };
    if (terminal.presentation) count(terminal.presentation);
    for (const NodeId backup : terminal.backups) count(backup);
}

void Oracle::check_apart(NodeId primary, const std::vector<NodeId>& backups, const std::string& whose) const {
    const SimNode* at = world_.site.find(primary);
    if (at == nullptr || world_.plan.separation == 0) return;
    for (const NodeId backup : backups) {
        const SimNode* other = world_.site.find(backup);
        if (other != nullptr && other->host() == at->host()) {
            violated("S4", whose + ": primary on node " + to_string(primary) + " and backup on node " + to_string(backup) +
                               " share host " + std::to_string(at->host()));
        }
    }
}

void Oracle::manager_started(const Core&, TimePoint) { UNDERSTUDY_MARK("manager.started"); }

// ---------------------------------------------------------------------------- what leaves the manager

void Oracle::stepped(const Step& step) {
    if (step.now.size() + step.after_durable.size() > kActionsPerStep) {
        violated("S11", "one step asks for " + text(step.now.size() + step.after_durable.size()) + " actions");
    }
}

void Oracle::queues(const DispatcherFigures& figures) {
    // However long the store fails, no more waits than a few things per node and terminal.
    const std::size_t most = (world_.options.nodes + world_.options.terminals) * std::size_t{20} + 2000;
    if (figures.waiting_actions > most || figures.waiting_batches > 1000) {
        violated("S11", text(figures.waiting_actions) + " actions and " + text(figures.waiting_batches) + " batches wait");
    }
}

void Oracle::check_proof(SessionId session, Epoch epoch, NodeId to) {
    const auto holders = holders_.find(session);
    if (holders == holders_.end()) return;
    for (const NodeId holder : holders->second) {
        if (holder == to) continue;
        const auto acts = world_.site.find(holder)->could_act(session);
        if (acts && *acts < epoch) {
            violated("S7", "epoch " + text(epoch) + " of session " + to_string(session) + " is given to node " + to_string(to) +
                               " while node " + to_string(holder) + " may still act under epoch " + text(*acts));
        }
    }
}

void Oracle::sends(NodeId to, const Message& message) {
    if (const auto* assign = std::get_if<AssignSession>(&message)) {
        if (assign->duty == Duty::released) return;
        check_fitness(to, assign->application.environment);
        const auto record = sessions_.find(assign->session);
        // A session that was erased since is released by what follows; until then its last record counts.
        if (record != sessions_.end() && record->second.epoch < assign->epoch) {
            violated("S6", "epoch " + text(assign->epoch) + " of session " + to_string(assign->session) +
                               " is told to node " + to_string(to) + ", durable is epoch " + text(record->second.epoch));
        }
        const auto told = newest_told_.find(assign->session);
        if (record == sessions_.end() && told == newest_told_.end()) {
            violated("S6", "session " + to_string(assign->session) + " is told to node " + to_string(to) + ", its record is not durable");
        }
        if (assign->duty != Duty::primary) return;
        const auto [owner, added] = owners_.try_emplace({assign->session, assign->epoch}, to);
        if (owner->second != to) {
            violated("S2", "epoch " + text(assign->epoch) + " of session " + to_string(assign->session) + " belongs to node " +
                               to_string(owner->second) + " and is told to node " + to_string(to));
        }
        if (!added) return;
        Epoch& newest = newest_told_[assign->session];
        if (assign->epoch < newest) {
            violated("S2", "epoch " + text(assign->epoch) + " of session " + to_string(assign->session) +
                               " is given out after epoch " + text(newest));
        }
        if (newest != 0 && calm_) violated("S10", "session " + to_string(assign->session) + " moves though nothing is wrong");
        newest = assign->epoch;
        world_.kernel.trace("primary told", to.value, assign->session.value, assign->epoch);
        check_proof(assign->session, assign->epoch, to);
    } else if (const auto* desktop = std::get_if<AssignDesktop>(&message)) {
        if (desktop->duty == Duty::released) return;
        check_fitness(to, {});
        const auto record = terminals_.find(desktop->terminal);
        if (record == terminals_.end() || record->second.epoch < desktop->epoch) {
            violated("S6", "the desktop epoch " + text(desktop->epoch) + " of terminal " + to_string(desktop->terminal) +
                               " is told, it is not durable");
        }
        if (desktop->duty != Duty::primary) return;
        const auto [owner, added] = desktop_owners_.try_emplace({desktop->terminal, desktop->epoch}, to);
        if (owner->second != to) {
            violated("S2", "desktop epoch " + text(desktop->epoch) + " of terminal " + to_string(desktop->terminal) +
                               " belongs to node " + to_string(owner->second) + " and is told to node " + to_string(to));
        }
        if (added && desktop->epoch > 1 && calm_) violated("S10", "a desktop moves though nothing is wrong");
        if (added) world_.kernel.trace("desktop told", to.value, desktop->terminal.value, desktop->epoch);
    }
}

void Oracle::sends(ClientId, const Message& message) {
    if (const auto* redirect = std::get_if<TerminalRedirect>(&message)) {
        const auto record = terminals_.find(redirect->terminal);
        if (record == terminals_.end() || record->second.epoch < redirect->epoch) {
            violated("S6", "terminal " + to_string(redirect->terminal) + " is sent to epoch " + text(redirect->epoch) +
                               ", it is not durable");
        }
    } else if (const auto* reply = std::get_if<AdminReply>(&message)) {
        // A terminal whose records were lost with it cannot be released: that is an answer, too.
        const Intent* wish = world_.open_wish(reply->request);
        const bool release = wish != nullptr && std::holds_alternative<ReleaseTerminal>(wish->wish);
        if (release && counted_.insert(reply->request).second) ++released_;
        if (reply->code == 0) check_reply(*reply);
    }
}

void Oracle::check_reply(const AdminReply& reply) {
    const Intent* wish = world_.open_wish(reply.request);
    if (wish == nullptr) return;
    if (const auto* drain = std::get_if<SetDrain>(&wish->wish)) {
        const auto node = nodes_.find(drain->node);
        if (node != nodes_.end() && node->second.draining != drain->drain) {
            violated("S8", "a drain of node " + to_string(drain->node) + " was acknowledged and is not durable");
        }
    } else if (const auto* maintenance = std::get_if<SetMaintenance>(&wish->wish)) {
        const auto host = hosts_.find(maintenance->host);
        if (host == hosts_.end() || host->second.maintenance != maintenance->maintenance) {
            violated("S8", "maintenance of " + maintenance->host + " was acknowledged and is not durable");
        }
    } else if (const auto* fence = std::get_if<FenceByHand>(&wish->wish)) {
        const auto host = hosts_.find(fence->host);
        if (host == hosts_.end() || !host->second.maintenance) {
            violated("S8", "host " + fence->host + " is switched off by hand, and nothing keeps new work from it");
        }
        if (!recorded_wishes_to_switch_off_.contains(fence->host)) {
            violated("S8", "host " + fence->host + " is switched off by hand, and a restart would forget it");
        }
    } else if (const auto* kill = std::get_if<KillInstance>(&wish->wish)) {
        const auto node = nodes_.find(kill->node);
        if (node != nodes_.end() && node->second.state != NodeState::condemned) {
            violated("S8", "the end of node " + to_string(kill->node) + " was acknowledged and is not durable");
        }
    }
}

void Oracle::creates(std::uint32_t host, const CreateInstance& action) {
    if (world_.site.hypervisor_answers(host)) ++commotion_;
    if (!nodes_.contains(action.instance)) violated("S6", "instance " + to_string(action.instance) + " is created, its record is not durable");
    std::map<NodeId, Share>& pending = creating_[host];
    pending[action.instance] = {action.vcpus, action.disk_mib};
    std::uint32_t used = 0;
    std::uint64_t disk = 0;
    const Site::Host& where = world_.site.hosts()[host];
    for (const SimNode* node : where.nodes) {
        // Made behind the back of a manager that lost its records: its hypervisor counts it, nobody else can yet.
        const bool forgotten = records_replaced_ && !nodes_.contains(node->id()) && !node->holds_something();
        if (forgotten || orphans_.contains(node->id()) || node->id() == action.instance) continue;
        used += node->vcpus;
        disk += node->disk_mib;
    }
    std::erase_if(pending, [&](const auto& asked) {
        const SimNode* node = world_.site.find(asked.first);
        const auto record = nodes_.find(asked.first);
        return record == nodes_.end() || record->second.state != NodeState::creating || (node != nullptr && node->exists);
    });
    for (const auto& [id, share] : pending) {
        if (id == action.instance) continue;
        used += share.vcpus;
        disk += share.disk_mib;
    }
    if (where.disk_mib != 0 && disk + action.disk_mib > where.disk_mib) {
        violated("S5", where.name + " has " + text(where.disk_mib) + " MiB for disks, " + text(disk) + " are taken or promised, and instance " +
                           to_string(action.instance) + " is created there");
    }
    if (used + action.vcpus > where.vcpus) {
        violated("S5", where.name + " has " + text(where.vcpus) + " processors, " + text(used) + " are taken or promised, and instance " +
                           to_string(action.instance) + " is created there");
    }
}

void Oracle::resumes(const ResumeInstance& action) {
    ++commotion_;
    const auto record = nodes_.find(action.instance);
    if (record == nodes_.end() || record->second.state != NodeState::resuming) {
        violated("S6", "instance " + to_string(action.instance) + " is told to continue, its record does not say so");
    }
}

void Oracle::deploys(const DeployEnvironment&) { ++commotion_; }

/// Whoever is to run something must be clean and have what it needs, in truth.
void Oracle::check_fitness(NodeId to, const std::string& environment) {
    SimNode* node = world_.site.find(to);
    if (node == nullptr || !node->exists || !node->powered()) return;
    if (node->dirty) violated("S12", "node " + to_string(to) + " is used again, and nobody verified that nothing is left on it");
    const auto bundle = environments_.find(environment);
    if (environment.empty() || bundle == environments_.end() || node->environments.contains(bundle->second.digest)) return;
    violated("environment", "node " + to_string(to) + " is told to run something in " + environment + ", which is not there");
}

void Oracle::scrubs(const ScrubInstance& action) {
    ++commotion_;
    const auto record = nodes_.find(action.instance);
    if (record == nodes_.end() || record->second.state != NodeState::scrubbing) {
        violated("S6", "instance " + to_string(action.instance) + " is scrubbed, its record does not say so");
    }
    if (uses_[action.instance] > 0) violated("S12", "instance " + to_string(action.instance) + " is scrubbed while it serves");
}

void Oracle::destroys(const DestroyInstance& action) {
    const auto record = nodes_.find(action.instance);
    const SimNode* node = world_.site.find(action.instance);
    if (node != nullptr && world_.site.hypervisor_answers(node->host())) ++commotion_;
    if (record == nodes_.end()) {
        // What a manager that died had ordered may come to exist behind the back of one that lost the records.
        const bool forgotten = records_replaced_ && node != nullptr && !node->holds_something();
        if (node != nullptr && node->exists && !forgotten && !orphans_.contains(action.instance)) {
            violated("S12", "instance " + to_string(action.instance) + " is destroyed as a stranger, it is none");
        }
        return;
    }
    if (record->second.state != NodeState::condemned || record->second.reason.empty()) {
        violated("S12", "instance " + to_string(action.instance) + " is destroyed, no intent is recorded");
    }
}

TimePoint Oracle::world_now() const { return world_.kernel.now(); }

/// A host is switched off for its silence; nobody on it may have been heard just now.
void Oracle::fences(std::uint32_t host) {
    for (const SimNode* node : world_.site.hosts()[host].nodes) {
        const auto heard = heard_.find(node->id());
        const auto record = nodes_.find(node->id());
        if (heard == heard_.end() || record == nodes_.end() || !node->agent_runs() || node->paused()) continue;
        if (record->second.state != NodeState::idle && record->second.state != NodeState::serving) continue;
        if (world_now() - heard->second < world_.settings.silence / 2) {
            violated("S12", "host " + std::to_string(host) + " is switched off, node " + to_string(node->id()) + " on it was heard " +
                                text(static_cast<std::uint64_t>(to_ms(world_now() - heard->second))) + " ms ago");
        }
    }
}

// ---------------------------------------------------------------------------- what machines do

void Oracle::performs(SimNode& node, const AssignSession& assign) {
    Epoch& obeyed = obeyed_[{node.id(), assign.session}];
    if (assign.epoch < obeyed) {
        violated("S3", "node " + to_string(node.id()) + " obeys epoch " + text(assign.epoch) + " of session " +
                           to_string(assign.session) + " after epoch " + text(obeyed));
    }
    obeyed = assign.epoch;
    holders_[assign.session].insert(node.id());
}

void Oracle::performs(SimNode& node, const AssignDesktop& assign) {
    Epoch& obeyed = desktops_obeyed_[{node.id(), assign.terminal}];
    if (assign.epoch < obeyed) {
        violated("S3", "node " + to_string(node.id()) + " obeys desktop epoch " + text(assign.epoch) + " of terminal " +
                           to_string(assign.terminal) + " after epoch " + text(obeyed));
    }
    obeyed = assign.epoch;
}

void Oracle::check_acting(SessionId session) {
    const auto holders = holders_.find(session);
    if (holders == holders_.end()) return;
    const SimNode* first = nullptr;
    for (const NodeId id : holders->second) {
        const SimNode* node = world_.site.find(id);
        if (!node->acting(session)) continue;
        if (first != nullptr) {
            violated("S1", "session " + to_string(session) + " acts on node " + to_string(first->id()) + " under epoch " +
                               text(*first->acting(session)) + " and on node " + to_string(id) + " under epoch " +
                               text(*node->acting(session)));
        }
        first = node;
    }
}

void Oracle::forget_holder(SessionId session, SimNode& node) {
    parted_[session] = world_now();
    const auto holders = holders_.find(session);
    if (holders != holders_.end()) holders->second.erase(node.id());
}

void Oracle::cleaned(SimNode& node) {
    const NodeId id = node.id();
    std::erase_if(obeyed_, [id](const auto& entry) { return entry.first.first == id; });
    std::erase_if(desktops_obeyed_, [id](const auto& entry) { return entry.first.first == id; });
}

void Oracle::orphan(SimNode& node) { orphans_.insert(node.id()); }

void Oracle::client_obeys(const std::string& name, ClientId client, Epoch epoch) {
    Epoch& obeyed = clients_obeyed_[client];
    if (epoch < obeyed) violated("S3", name + " obeys epoch " + text(epoch) + " after epoch " + text(obeyed));
    obeyed = epoch;
}

}  // namespace understudy::sim
