// The judge. It knows the promises and the truth (what machines really do, what really became durable,
// what really left the manager), and nothing of what the manager believes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "manager/core/actions.hpp"
#include "manager/core/core.hpp"
#include "manager/core/records.hpp"
#include "manager/runtime/dispatcher.hpp"
#include "tests/sim/basics.hpp"

namespace understudy::sim {

struct World;
class SimNode;

class Oracle {
  public:
    explicit Oracle(World& world) : world_(world) {}

    // ---- told by the simulated world as things happen; each throws Violation
    void committed(const manager::Batch& batch);
    /// The store was lost, or an old copy was put back: what it says now is all that is durable.
    void records_replaced(const manager::Image& image);
    void manager_started(const manager::Core& core, TimePoint local);
    void stepped(const manager::Step& step);
    void queues(const manager::DispatcherFigures& figures);
    void sends(NodeId to, const Message& message);
    void sends(ClientId to, const Message& message);
    void creates(std::uint32_t host, const manager::CreateInstance& action);
    void resumes(const manager::ResumeInstance& action);
    void scrubs(const manager::ScrubInstance& action);
    void deploys(const manager::DeployEnvironment& action);
    void destroys(const manager::DestroyInstance& action);
    void heard(NodeId node) { heard_[node] = world_now(); }
    void fences(std::uint32_t host);
    void performs(SimNode& node, const AssignSession& assign);
    void performs(SimNode& node, const AssignDesktop& assign);
    void check_acting(SessionId session);
    void forget_holder(SessionId session, SimNode& node);
    void cleaned(SimNode& node);
    void orphan(SimNode& node);
    void client_obeys(const std::string& name, ClientId client, Epoch epoch);
    void something_is_wrong() { calm_ = false; }

    // ---- liveness; empty: the promise holds now, else what is missing
    [[nodiscard]] std::string unserved() const;        ///< L1
    [[nodiscard]] std::string without_backup() const;  ///< L2
    [[nodiscard]] std::string leaks() const;           ///< L3
    [[nodiscard]] std::string wrong_power() const;     ///< L3: a host that answers is not on record as off
    [[nodiscard]] std::string pool_off() const;        ///< L3: the pool has exactly what it should have
    [[nodiscard]] std::size_t released() const { return released_; }  ///< terminals, with success
    [[nodiscard]] std::string set_aside() const;       ///< by an administrator: maintenance, draining
    [[nodiscard]] std::string unanswered(TimePoint since) const;  ///< L5
    /// Counts what L4 forbids: changed assignments, machines made or given up.
    [[nodiscard]] std::uint64_t commotion() const { return commotion_; }

    // ---- what became durable
    [[nodiscard]] const std::map<SessionId, manager::SessionRecord>& sessions() const { return sessions_; }
    [[nodiscard]] const std::map<TerminalId, manager::TerminalRecord>& terminals() const { return terminals_; }
    [[nodiscard]] const std::map<NodeId, manager::NodeRecord>& nodes() const { return nodes_; }
    [[nodiscard]] const std::map<std::string, manager::HostRecord>& hosts() const { return hosts_; }
    [[nodiscard]] std::size_t served() const;

  private:
    void apply(const manager::Write& write, std::set<NodeId>& touched);
    void check_apart(NodeId primary, const std::vector<NodeId>& backups, const std::string& whose) const;
    void count_uses(const manager::SessionRecord& session, int by, std::set<NodeId>& touched);
    void count_uses(const manager::TerminalRecord& terminal, int by, std::set<NodeId>& touched);
    void node_changed(NodeId id, const manager::NodeRecord* before, const manager::NodeRecord* after);
    void check_mass_failure(NodeId id, const manager::NodeRecord& record);
    [[nodiscard]] bool gate_is_overridden() const;
    void check_last_memory(NodeId id, const manager::NodeRecord& record);
    void check_reply(const AdminReply& reply);
    void check_fitness(NodeId to, const std::string& environment);
    void check_proof(SessionId session, Epoch epoch, NodeId to);
    [[nodiscard]] std::string served_by(const manager::TerminalRecord& terminal) const;
    [[nodiscard]] TimePoint world_now() const;
    [[noreturn]] void violated(const char* promise, std::string text) const;

    World& world_;
    std::map<SessionId, manager::SessionRecord> sessions_;
    std::map<TerminalId, manager::TerminalRecord> terminals_;
    std::map<NodeId, manager::NodeRecord> nodes_;
    std::map<std::string, manager::HostRecord> hosts_;
    std::set<std::string> recorded_wishes_to_switch_off_;  ///< hosts of which this was durable once
    std::map<std::string, manager::ProfileRecord> profiles_;
    std::map<std::string, manager::EnvironmentRecord> environments_;
    std::map<NodeId, int> uses_;
    std::map<std::pair<SessionId, Epoch>, NodeId> owners_;           ///< told on the wire
    std::map<std::pair<TerminalId, Epoch>, NodeId> desktop_owners_;
    std::map<SessionId, Epoch> newest_told_;
    std::map<SessionId, std::set<NodeId>> holders_;                  ///< machines with something of it
    std::map<std::pair<NodeId, SessionId>, Epoch> obeyed_;
    std::map<std::pair<NodeId, TerminalId>, Epoch> desktops_obeyed_;
    std::map<ClientId, Epoch> clients_obeyed_;
    std::map<SessionId, TimePoint> parted_;  ///< when a node last lost or gave up what it had of it
    std::map<NodeId, TimePoint> heard_;  ///< when the manager was last given a message of that node
    std::set<NodeId> orphans_;
    std::vector<TimePoint> given_up_alive_;                          ///< nodes whose agent works, condemned for silence
    /// What an instance takes from its host.
    struct Share {
        std::uint32_t vcpus = 0;
        std::uint64_t disk_mib = 0;
    };
    std::map<std::uint32_t, std::map<NodeId, Share>> creating_;  ///< per host: asked for
    std::map<std::string, TerminalId> terminal_names_;
    bool calm_ = true;
    bool records_replaced_ = false;
    std::uint64_t commotion_ = 0;
    std::size_t released_ = 0;
    std::set<std::uint64_t> counted_;  ///< requests of that
    std::map<std::string, manager::PoolRecord> pools_;
};

}  // namespace understudy::sim
