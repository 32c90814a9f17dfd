// Everything the core knows. The durable half lives in tables that note what changed; the live half is
// learnt anew from agents and hypervisors after a restart.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "manager/core/events.hpp"
#include "manager/core/records.hpp"
#include "manager/core/settings.hpp"
#include "manager/core/table.hpp"
#include "manager/core/timers.hpp"

namespace understudy::manager {

/// What heartbeats and connections say about a node.
enum class Health : std::uint8_t {
    unknown = 0,  ///< not heard since this manager started (or since the instance was made)
    healthy = 1,
    suspect = 2,  ///< its connection broke, or it is late for its own history
    silent = 3,   ///< nothing past the deadline: failed, proof still owed
    down = 4,     ///< proven not to run
};

/// The last assignment sent to a node for one session or desktop.
template <class Assign>
struct Sent {
    Assign message;
    bool confirmed = false;  ///< the node has answered with this version
    TimePoint last_sent;
};

/// What is known about a node only while it lives.
struct NodeLive {
    Health health = Health::unknown;
    std::uint64_t registration = 0;  ///< 0: not registered with this manager
    std::uint64_t incarnation = 0;
    TimePoint heard;        ///< on the fair clock (own stalls taken out)
    TimePoint lease_until;  ///< real time: no lease granted by us or by an earlier manager reaches beyond
    Duration lateness{0};   ///< smoothed largest gap between its signs, from its own history
    TimePoint broken;       ///< when its connection broke, while suspect for that
    std::uint32_t load_permille = 0;
    std::uint32_t memory_used_mib = 0;
    bool can_checkpoint = false;
    std::string checkpoint_reason;
    std::string software;
    std::map<SessionId, SessionStatus> sessions;    ///< as reported
    std::map<TerminalId, DesktopStatus> desktops;   ///< as reported
    std::map<SessionId, Sent<AssignSession>> sent_sessions;
    std::map<TerminalId, Sent<AssignDesktop>> sent_desktops;
    OperationId operation;       ///< the hypervisor operation under way for it
    TimePoint operation_since;
    std::uint32_t attempts = 0;  ///< failed tries of the present operation
    TimePoint retry_at = kNever;
    TimePoint boot_deadline = kNever;
    bool held_by_gate = false;
    std::string last_error;      ///< of its hypervisor operation, in the hypervisor's words
};

/// Who uses a node: derived from session and terminal records.
struct NodeUse {
    std::map<SessionId, Duty> sessions;
    std::map<TerminalId, Duty> desktops;
    [[nodiscard]] std::size_t count() const { return sessions.size() + desktops.size(); }
};

/// A place that is wanted and not there yet.
struct Need {
    Role role = Role::none;
    std::vector<HostId> avoid;  ///< hosts that will not do
    bool operator==(const Need&) const = default;
};

struct TerminalLive {
    ClientId client;             ///< the connected terminal program
    std::string waiting;         ///< why it is not served, for people
    std::string last_told;       ///< last text told to the client, so that nothing is said twice
    Version told;                ///< last redirect told (epoch) to `client`
    std::vector<Need> needs;
    IncidentId incident;         ///< open presentation incident
    TimePoint desktop_since;     ///< when the present primary was appointed
    bool queued = false;
};

struct SessionLive {
    IncidentId incident;               ///< open execution incident
    std::deque<TimePoint> crashes;     ///< inside the crash window
    TimePoint grace_until = kNever;    ///< waiting for a checkpoint holder that may come back
    Proof proof = Proof::none;         ///< that the primary of the present epoch does not run
    std::string proof_text;
    Ending ending = Ending::none;
};

struct PoolLive {
    std::uint32_t failures = 0;        ///< creations given up in a row
    TimePoint paused_until;            ///< in the past: not paused
    std::string reason;                ///< last failure in the hypervisor's words, or why full
};

struct HostLive {
    bool reachable = true;
    std::string last_error;
    TimePoint listed_at;
    bool listing = false;
    OperationId fence;
};

/// Own lateness and mass failure.
struct GateState {
    bool closed = false;
    TimePoint closed_at;
    std::string reason;
    std::deque<TimePoint> silences;  ///< on the fair clock, inside the window
    TimePoint next_release = kNever;
};

/// Counted, never trusted.
struct Oddities {
    std::uint64_t unknown_node = 0;
    std::uint64_t stale_registration = 0;
    std::uint64_t unknown_operation = 0;
    std::uint64_t stale_status = 0;
    std::uint64_t unexpected_message = 0;
    std::uint64_t unknown_client = 0;
};

struct State {
    explicit State(const Settings& given) : settings(given) {}

    Settings settings;

    // ---- durable
    Single<ManagerRecord> manager{"manager"};
    Table<HostId, HostRecord> hosts{"host"};
    NamedTable<PoolRecord> pools{"pool"};
    NamedTable<ProfileRecord> profiles{"profile"};
    Table<NodeId, NodeRecord> nodes{"node"};
    Table<TerminalId, TerminalRecord> terminals{"terminal"};
    Table<SessionId, SessionRecord> sessions{"session"};
    Table<IncidentId, IncidentRecord> incidents{"incident"};

    // ---- derived from the durable half
    std::map<std::string, HostId> host_names;
    std::map<std::string, TerminalId> terminal_names;
    std::unordered_map<NodeId, NodeUse> uses;
    std::set<NodeId> idle;                       ///< state idle, registered, healthy, not draining
    std::set<NodeId> open_execution;             ///< serving in that role, healthy, with a free slot
    std::set<NodeId> open_presentation;
    std::unordered_map<HostId, std::set<NodeId>> on_host;

    // ---- live
    std::unordered_map<NodeId, NodeLive> live;
    std::unordered_map<TerminalId, TerminalLive> terminal_live;
    std::unordered_map<SessionId, SessionLive> session_live;
    std::unordered_map<HostId, HostLive> host_live;
    std::map<std::string, PoolLive> pool_live;
    std::unordered_map<OperationId, NodeId> operations;
    std::unordered_map<OperationId, HostId> fences;
    std::unordered_map<IncidentId, TimePoint> incident_start;
    std::unordered_map<ClientId, TerminalId> clients;
    std::map<std::pair<ClientId, std::uint64_t>, AdminReply> answered;  ///< bounded; repeats are answered like the first
    std::deque<std::pair<ClientId, std::uint64_t>> answered_order;
    GateState gate;
    Oddities oddities;
    std::vector<std::string> alarms;
    bool store_failing = false;
    std::string store_reason;

    // ---- machinery
    Timers timers;
    TimePoint now;
    std::int64_t wall_ms = 0;
    Duration stalled{0};           ///< own lateness taken out of the fair clock
    TimePoint expected = kNever;   ///< the wake-up asked for last
    TimePoint started;
    std::int64_t started_wall_ms = 0;
    std::uint64_t next_registration = 0;
    std::uint64_t next_revision = 1;
    std::uint64_t next_serial = 1;
    std::deque<TerminalId> queue;  ///< terminals to plan for
    bool pools_dirty = false;
    Step step;                     ///< under construction

    /// Time with the manager's own stalls taken out; lateness of others is measured on it.
    [[nodiscard]] TimePoint fair() const { return now - stalled; }
};

}  // namespace understudy::manager
