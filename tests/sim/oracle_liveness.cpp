// See oracle.hpp: what must be true once faults have stopped.
#include "tests/sim/oracle.hpp"
#include "tests/sim/solver.hpp"
#include "tests/sim/world.hpp"

namespace understudy::sim {

using namespace understudy::manager;

std::string Oracle::served_by(const TerminalRecord& terminal) const {
    const SimClient* client = world_.client_named(terminal.name);
    if (client == nullptr || !client->present()) return {};
    const std::string whose = "terminal " + terminal.name;
    if (!client->connected()) return whose + " is not connected (last word: " + client->last_reason() + ")";
    if (client->redirect().epoch != terminal.epoch) return whose + " is connected to an older epoch";
    const SimNode* desktop = world_.site.find(terminal.presentation);
    if (desktop == nullptr || !desktop->shows_desktop(terminal.id, terminal.epoch)) {
        return whose + ": node " + to_string(terminal.presentation) + " does not show its desktop";
    }
    for (const SessionId id : terminal.sessions) {
        const auto session = sessions_.find(id);
        if (session == sessions_.end()) return whose + ": session " + to_string(id) + " has no record";
        const SimNode* node = world_.site.find(session->second.primary);
        if (node == nullptr || !node->runs_session(id, session->second.epoch)) {
            return whose + ": node " + to_string(session->second.primary) + " does not run session " + to_string(id) +
                   " under epoch " + std::to_string(session->second.epoch);
        }
        if (!desktop->window_connected(terminal.id, id, session->second.epoch)) {
            return whose + ": the window of session " + to_string(id) + " is not connected";
        }
    }
    return {};
}

std::string Oracle::unserved() const {
    for (const SimClient* client : world_.present_clients()) {
        const auto name = terminal_names_.find(client->name());
        const auto found = name == terminal_names_.end() ? terminals_.end() : terminals_.find(name->second);
        if (found == terminals_.end()) return client->name() + " is not defined";
        if (found->second.state != TerminalState::attached) return client->name() + " is not attached";
        std::string why = served_by(found->second);
        if (!why.empty()) return why;
    }
    return {};
}

std::size_t Oracle::served() const {
    std::size_t count = 0;
    for (const auto& [id, terminal] : terminals_) {
        const SimClient* client = world_.client_named(terminal.name);
        if (client != nullptr && client->present() && served_by(terminal).empty()) ++count;
    }
    return count;
}

std::string Oracle::without_backup() const {
    for (const auto& [id, terminal] : terminals_) {
        const SimClient* client = world_.client_named(terminal.name);
        if (client == nullptr || !client->present()) continue;
        if (terminal.backups.size() != world_.plan.presentation_backups) {
            return "the desktop of " + terminal.name + " has " + std::to_string(terminal.backups.size()) + " backups";
        }
        for (const NodeId backup : terminal.backups) {
            const SimNode* node = world_.site.find(backup);
            if (node == nullptr || !node->desktop_stands_by(id)) {
                return "node " + to_string(backup) + " does not stand by for the desktop of " + terminal.name;
            }
        }
        for (const SessionId session : terminal.sessions) {
            const auto record = sessions_.find(session);
            if (record == sessions_.end()) continue;
            if (record->second.backups.size() != world_.plan.execution_backups) {
                return "session " + to_string(session) + " has " + std::to_string(record->second.backups.size()) + " backups";
            }
            for (const NodeId backup : record->second.backups) {
                const SimNode* node = world_.site.find(backup);
                if (node == nullptr || !node->stands_by(session)) {
                    return "node " + to_string(backup) + " does not stand by for session " + to_string(session);
                }
            }
        }
    }
    return {};
}

std::string Oracle::leaks() const {
    for (std::uint32_t host = 0; host < world_.site.hosts().size(); ++host) {
        if (!world_.site.hypervisor_answers(host)) continue;
        for (const SimNode* node : world_.site.hosts()[host].nodes) {
            if (!nodes_.contains(node->id())) return "instance " + to_string(node->id()) + " exists and is in no record";
        }
    }
    for (const auto& [id, record] : nodes_) {
        const SimNode* node = world_.site.find(id);
        if (record.kind != NodeKind::instance || record.state == NodeState::creating) continue;
        if (node == nullptr) return "node " + to_string(id) + " is recorded and was never made";
        if (world_.site.hypervisor_answers(node->host()) && !node->exists) {
            return "node " + to_string(id) + " is recorded as existing and does not exist";
        }
    }
    return {};
}

namespace {

/// Machines of a pool by what the durable records say, where somebody can still change that.
struct Stock {
    std::uint32_t total = 0;
    std::uint32_t beyond_reach = 0;  ///< given up on hosts that do not answer: nobody can tidy up there
    std::uint32_t idle = 0;
    std::uint32_t standing = 0;
};

/// Could another machine be made somewhere, by what is really there?
bool room_somewhere(const World& world) {
    for (std::uint32_t i = 0; i < world.site.hosts().size(); ++i) {
        const Site::Host& host = world.site.hosts()[i];
        const bool disk = host.disk_mib == 0 || host.disk_used_mib + kDiskMib <= host.disk_mib;
        if (world.site.hypervisor_answers(i) && host.failing_permille == 0 && host.vcpus_used < host.vcpus && disk) return true;
    }
    return false;
}

}  // namespace

std::string Oracle::pool_off() const {
    for (const auto& [flavour, pool] : pools_) {
        Stock stock;
        for (const auto& [id, node] : nodes_) {
            if (node.flavour != flavour || node.kind != NodeKind::instance) continue;
            const SimNode* machine = world_.site.find(id);
            const bool answers = machine == nullptr || world_.site.hypervisor_answers(machine->host());
            ++stock.total;
            if (!answers && node.state == NodeState::condemned) ++stock.beyond_reach;
            if (node.state == NodeState::idle) ++stock.idle;
            else if (node.state == NodeState::paused) ++stock.standing;
            if (!answers) continue;
            if (node.state != NodeState::idle && node.state != NodeState::paused && node.state != NodeState::serving) return "node " + to_string(id) + " is neither in use nor ready: " + node.reason;
        }
        const std::uint32_t kept = stock.total - stock.beyond_reach;
        if (kept > pool.max_total) return "the pool keeps " + std::to_string(kept) + " machines, max_total is " + std::to_string(pool.max_total);
        if (stock.idle > pool.max_idle) return std::to_string(stock.idle) + " machines are idle, max_idle is " + std::to_string(pool.max_idle);
        if (stock.standing > pool.max_paused) return std::to_string(stock.standing) + " stand still, max_paused is " + std::to_string(pool.max_paused);
        if (kept >= pool.max_total || !room_somewhere(world_)) continue;
        if (stock.idle < pool.min_idle) return std::to_string(stock.idle) + " machines are idle, min_idle is " + std::to_string(pool.min_idle);
        if (stock.standing < pool.min_paused) return std::to_string(stock.standing) + " stand still, min_paused is " + std::to_string(pool.min_paused);
    }
    return {};
}

std::string Oracle::set_aside() const {
    for (const auto& [name, host] : hosts_) {
        if (host.maintenance) return "host " + name + " is in maintenance";
    }
    for (const auto& [id, node] : nodes_) {
        if (node.draining && node.state != NodeState::condemned) return "node " + to_string(id) + " is being drained";
    }
    return {};
}

std::string Oracle::wrong_power() const {
    for (std::uint32_t i = 0; i < world_.site.hosts().size(); ++i) {
        const auto host = hosts_.find("host-" + std::to_string(i));
        if (host == hosts_.end()) continue;
        if (host->second.power == Power::going_off) return "host " + host->first + " is being switched off without end";
        if (host->second.power == Power::off && world_.site.hypervisor_answers(i)) return "host " + host->first + " answers and counts as off";
    }
    return {};
}

std::string Oracle::unanswered(TimePoint since) const {
    for (const SimClient* client : world_.present_clients()) {
        if (client->open_since() < since) return client->name() + " asked and was not answered";
    }
    if (world_.oldest_open_wish() < since) return "a wish of the administrator was not answered";
    return {};
}

}  // namespace understudy::sim
