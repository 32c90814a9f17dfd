// Promises judged after every step: from the records, and from what the fake nodes really do.
#include <algorithm>

#include "manager/core/record_codec.hpp"
#include "manager/core/state.hpp"
#include "tests/golden/manager_stage.hpp"

namespace understudy::golden {

using namespace manager;

void ManagerStage::judge_records() {
    const State& state = core_->state();
    const Image image = core_->durable_image();
    const Image kept(latest_.begin(), latest_.end());
    if (image != kept) broken("S9: the sum of all writes is not the durable half of the live state");
    for (const auto& [id, session] : state.sessions.rows()) {
        const std::string name = names_.of(id);
        if (session.epoch < judgement_.epochs[id]) broken("S2: the epoch of " + name + " falls");
        judgement_.epochs[id] = session.epoch;
        if (!session.primary) continue;
        NodeId& owner = judgement_.owners[{id, session.epoch}];
        if (owner && owner != session.primary) broken("S2: one epoch of " + name + " belongs to two nodes");
        owner = session.primary;
        const NodeRecord* primary = state.nodes.find(session.primary);
        for (const NodeId backup : session.backups) {
            const NodeRecord* node = state.nodes.find(backup);
            if (backup == session.primary) broken("S4: " + name + " has its primary as its backup");
            if (node == nullptr || primary == nullptr || node->host != primary->host) continue;
            const auto& terminal = state.terminals.at(session.terminal);
            const ProfileRecord* profile = state.profiles.find(terminal.profile);
            if (profile->separation != Separation::instance) broken("S4: primary and backup of " + name + " share a host");
        }
    }
    judge_clean();
    for (const auto& [id, terminal] : state.terminals.rows()) {
        if (!terminal.presentation) continue;
        NodeId& owner = judgement_.desktop_owners[{id, terminal.epoch}];
        if (owner && owner != terminal.presentation) broken("S2: one epoch of the desktop of " + terminal.name + " belongs to two nodes");
        owner = terminal.presentation;
    }
    for (const auto& [id, host] : state.hosts.rows()) {
        std::uint64_t vcpus = 0;
        std::uint64_t memory = 0;
        std::uint64_t disk = 0;
        for (const auto& [node_id, node] : state.nodes.rows()) {
            if (node.host != id) continue;
            vcpus += node.vcpus;
            memory += node.memory_mib;
            disk += node.disk_mib;
        }
        if (vcpus > host.vcpus || memory > host.memory_mib || (host.disk_mib != 0 && disk > host.disk_mib)) broken("S5: host " + host.name + " is over its capacity");
    }
}

/// S12: what was used is idle again only with a receipt for its scrub.
void ManagerStage::judge_clean() {
    for (const auto& [id, node] : core_->state().nodes.rows()) {
        if (node.kind == NodeKind::instance && node.state == NodeState::idle && used_.contains(id) && node.receipt.empty()) broken("S12: " + names_.of(id) + " was used and is idle without a receipt");
    }
}

/// S1 from the truth; lateness of the manager's belief does not matter here.
void ManagerStage::judge_truth() {
    if (!core_) return;
    for (const auto& [id, session] : core_->state().sessions.rows()) {
        NodeId first;
        for (const auto& [node_id, node] : nodes_) {
            if (!node->acts(id) || !node->core().lease_valid(now_)) continue;
            if (first) broken("S1: " + names_.of(id) + " acts on " + names_.of(first) + " and on " + names_.of(node_id));
            first = node_id;
        }
    }
}

void ManagerStage::judge_action(const Action& action) {
    const auto durable_node = [&](NodeId id) -> std::optional<NodeRecord> {
        State scratch{settings_};
        const auto found = durable_.find("node/" + to_string(id));
        if (found == durable_.end()) return {};
        if (!read_image(scratch, {{found->first, found->second}})) broken("S9: a record does not decode");
        return scratch.nodes.at(id);
    };
    if (const auto* destroy = std::get_if<DestroyInstance>(&action)) {
        const auto node = durable_node(destroy->instance);
        if (node && node->state != NodeState::condemned) broken("S12: instance " + to_string(destroy->instance) + " is destroyed without a recorded intent");
    } else if (const auto* scrub = std::get_if<ScrubInstance>(&action)) {
        const auto node = durable_node(scrub->instance);
        if (!node || node->state != NodeState::scrubbing) broken("S12: instance " + to_string(scrub->instance) + " is scrubbed without a recorded intent");
    } else if (const auto* create = std::get_if<CreateInstance>(&action)) {
        if (!durable_node(create->instance)) broken("S6: instance " + to_string(create->instance) + " is created before its record is durable");
    } else if (const auto* send = std::get_if<SendToNode>(&action)) {
        const auto* assign = std::get_if<AssignSession>(&send->message);
        const auto* desktop = std::get_if<AssignDesktop>(&send->message);
        if (assign != nullptr && assign->duty != Duty::released) used_.insert(send->to);
        if (desktop != nullptr && desktop->duty != Duty::released) used_.insert(send->to);
        if (assign != nullptr && assign->duty != Duty::released) judge_environment(send->to, assign->application.environment);
        if (assign == nullptr || assign->duty != Duty::primary) return;
        State scratch{settings_};
        const auto found = durable_.find("session/" + to_string(assign->session));
        if (found == durable_.end()) return;  // released in a later step; its node is told so behind this
        if (!read_image(scratch, {{found->first, found->second}})) broken("S9: a record does not decode");
        const SessionRecord& session = scratch.sessions.at(assign->session);
        if (session.epoch != assign->epoch || session.primary != send->to) {
            broken("S6: " + names_.of(assign->session) + " is assigned to " + names_.of(send->to) + " before that is durable");
        }
        for (const auto& [id, node] : nodes_) {
            if (id == send->to || !node->acts(assign->session) || !node->core().lease_valid(now_)) continue;
            broken("S7: " + names_.of(assign->session) + " is given to " + names_.of(send->to) + " while " + names_.of(id) + " runs it");
        }
    }
}

/// A machine is told to run only what it can run.
void ManagerStage::judge_environment(NodeId to, const std::string& environment) {
    const EnvironmentRecord* wanted = environment.empty() ? nullptr : core_->state().environments.find(environment);
    const auto place = places_.find(to);
    if (wanted == nullptr || place == places_.end()) return;
    const auto instance = hosts_[place->second].instances.find(to);
    if (instance == hosts_[place->second].instances.end() || instance->second.environments.contains(wanted->digest)) return;
    broken("environment: " + names_.of(to) + " is told to run something in " + environment + ", which is not deployed there");
}

void ManagerStage::judge_reload() {
    const auto again = Core::load(settings_, Image(latest_.begin(), latest_.end()));
    if (!again) broken("S9: the records cannot be loaded: " + again.error().message);
    if (again->durable_image() != core_->durable_image()) broken("S9: what was loaded differs from what was kept");
}

}  // namespace understudy::golden
