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

#include "manager/core/actions.hpp"
#include "manager/core/events.hpp"
#include "manager/core/figures.hpp"
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
    bool tickets_void = false;        ///< it is said again with fresh tickets, under a new revision
    std::uint64_t first_serial = 0;   ///< of the tickets that came with this revision
    TimePoint last_sent;
};

/// A Welcome that was sent and not used yet: the node's first message under it puts it into effect.
struct PendingRegistration {
    std::uint64_t registration = 0;
    Hello hello;
};

/// What is known about a node only while it lives.
struct NodeLive {
    Health health = Health::unknown;
    std::uint64_t registration = 0;  ///< 0: not registered with this manager
    std::uint64_t incarnation = 0;
    std::vector<PendingRegistration> pending;  ///< bounded
    TimePoint heard;             ///< on the fair clock (own stalls taken out)
    TimePoint sign;              ///< the same, of anything it said, registered or not, or a witness said of it
    TimePoint lease_until;       ///< real time: no lease granted by us or by an earlier manager reaches beyond
    Duration gap{0};             ///< smoothed gap between its signs
    Duration gap_spread{0};      ///< smoothed deviation from that
    TimePoint witness_asked = kNever;  ///< on the fair clock
    std::uint64_t witness_request = 0; ///< the newest; answers to older ones do not count
    TimePoint reached_until = kNever;  ///< on the fair clock: a witness's word that it can be reached counts so long
    TimePoint broken = kNever;   ///< when its connection broke, on the fair clock
    bool missed = false;         ///< almost silent, and counted by the gate
    bool given_up = false;       ///< silent and not held: others take over
    bool held_by_gate = false;
    std::vector<SessionId> alone_with;  ///< silent, and waited for, since it alone has the memory of these (memory.cpp)
    Duration silent_for{0};      ///< when it was given up for its silence; zero: it was not
    std::string evidence;        ///< first sign of the present trouble, for people
    TimePoint evidence_at = kNever;  ///< when that happened, as far as known (real time)
    TimePoint detected_at = kNever;  ///< when the core was told
    TimePoint proven_at = kNever;
    std::uint32_t load_permille = 0;
    std::uint32_t memory_used_mib = 0;
    bool can_checkpoint = false;
    std::string checkpoint_reason;
    std::string software;
    std::map<SessionId, SessionStatus> sessions;   ///< as reported
    std::map<TerminalId, DesktopStatus> desktops;  ///< as reported
    std::map<SessionId, Sent<AssignSession>> sent_sessions;
    std::map<TerminalId, Sent<AssignDesktop>> sent_desktops;
    TimePoint resend_at = kNever;   ///< when the earliest unconfirmed one is said again
    bool destroyed = false;         ///< its hypervisor confirmed that nothing is left of it
    OperationId operation;          ///< the hypervisor operation under way for it
    TimePoint operation_due = kNever;  ///< no answer to it by then: asked again
    std::uint32_t unanswered = 0;   ///< how often in a row it was asked again
    std::uint32_t attempts = 0;     ///< failed tries of the present operation
    TimePoint retry_at = kNever;
    TimePoint boot_deadline = kNever;
    TimePoint state_since;          ///< last change of the record's state
    std::string last_error;         ///< of its hypervisor operation, in the hypervisor's words
    TimePoint asked_for = kNever;   ///< when it was asked for (made, or told to continue); until it registers
    std::set<std::string> environments;  ///< digests that its hypervisor confirmed to this manager
    std::string deploying;          ///< digest of the bundle that is being deployed
    std::set<std::string> failed_deploys;  ///< digests that could not be deployed lately
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
    SessionId for_primary;      ///< primaries want a node each; needs of backups are shared
    std::vector<HostId> avoid;  ///< hosts that will not do
    bool operator==(const Need&) const = default;
};

/// One terminal that wants a place. In this order machines are offered: first to those whom nobody serves, among
/// equals to who has waited longest.
struct Wanting {
    bool only_backups = false;
    std::uint64_t since = 0;  ///< numbers rise
    TerminalId terminal;
    auto operator<=>(const Wanting&) const = default;
};

struct TerminalLive {
    ClientId client;            ///< the connected terminal program
    ClientId turned_away;       ///< the last one that wanted it meanwhile; told of once
    std::string lacks;          ///< what no machine is free for, in words ("your desktop"); empty: nothing
    std::string waiting;        ///< why it is not served, for people
    std::string told_waiting;   ///< the last such text told to `client`
    Epoch told_epoch = 0;       ///< epoch of the last redirect told to `client`
    Epoch seen_epoch = 0;       ///< newest epoch of which `client` has seen a picture
    std::vector<Need> needs;
    std::optional<Wanting> wants;    ///< as it stands in State::wanting
    IncidentId incident;        ///< newest presentation incident
    std::set<NodeId> holders;   ///< nodes that were told something about its desktop and have not let go
    std::set<NodeId> failed_on;      ///< where a desktop failed to start lately
    TimePoint failed_until;          ///< until then `failed_on` counts
    bool desktop_lost = false;  ///< the primary's agent came back without the desktop
    bool hot = false;           ///< the present primary was ready as a standby when it was appointed
    bool move_wanted = false;   ///< an administrator asked for a planned move
    bool queued = false;
    TimePoint keep_until = kNever;  ///< detached: what it has is kept so long
};

struct SessionLive {
    IncidentId incident;               ///< newest execution incident
    std::deque<TimePoint> crashes;     ///< inside the crash window
    TimePoint grace_until = kNever;    ///< waiting for a better place than is there: a checkpoint holder that may come back, a machine of its own
    Proof proof = Proof::none;         ///< that the primary of the present epoch does not run
    std::string proof_text;
    TimePoint proven_at = kNever;
    Ending ending = Ending::none;
    bool ran = false;                  ///< seen running in the present epoch
    std::set<NodeId> holders;          ///< as in TerminalLive
    std::set<NodeId> failed_on;
    TimePoint failed_until;
    TimePoint deploy_again = kNever;   ///< its environment could not be deployed: no other try before this
    std::uint32_t deploy_failures = 0;  ///< in a row
    std::string deploy_failure;        ///< in the hypervisor's words
    bool move_wanted = false;
};

/// How long it usually takes to get a machine, from asking to its registration; zero: not seen yet.
struct UsualTimes {
    Duration made{0};      ///< created, and booted
    Duration standing{0};  ///< created, until it stands still
    Duration resumed{0};   ///< told to continue
};

/// Consecutive failures of one kind of work, and the rest that follows.
struct Breaker {
    std::uint32_t failures = 0;  ///< in a row
    std::uint32_t rests = 0;     ///< in a row
    TimePoint until;             ///< in the past: it does not rest
    std::string reason;          ///< in the hypervisor's words
};

struct PoolLive {
    std::set<NodeId> idle;             ///< registered, clean, healthy, not draining
    std::set<NodeId> coming;           ///< creating to run, resuming, booting or scrubbing
    std::set<NodeId> standing;         ///< standing still
    std::set<NodeId> standing_soon;    ///< being made to stand still
    std::set<NodeId> doubted;          ///< idle, and not heard of lately; nobody has given them up
    std::set<NodeId> leaving;          ///< being destroyed
    std::set<NodeId> beyond_reach;     ///< of those: serve nobody any more, and their hypervisor does not answer
    std::uint32_t total = 0;           ///< everything that exists or may exist
    std::uint32_t failures = 0;        ///< creations given up in a row
    TimePoint paused_until;            ///< in the past: not paused
    std::string reason;                ///< last failure in the hypervisor's words, or why nothing can be made
    std::uint32_t moves = 0;           ///< creations that were given to another host, in a row
    Breaker stand_still;               ///< making machines that stand still
    Breaker resumption;                ///< letting them continue
    std::map<HostId, std::uint32_t> serving_on;  ///< its machines in use, per host
    std::deque<TimePoint> taken;       ///< when machines were taken from it, inside the demand window
    UsualTimes usual;
};

struct HostLive {
    bool listed = false;               ///< answered at least once since the start, or failed to
    bool reachable = true;
    bool listing = false;
    TimePoint list_sent;
    std::string last_error;
    std::uint32_t creation_failures = 0;  ///< in a row
    std::uint32_t creating = 0;        ///< creations under way
    std::uint64_t vcpus_used = 0;
    std::uint64_t memory_used_mib = 0;
    std::uint64_t disk_used_mib = 0;
    std::set<NodeId> nodes;
    OperationId fence;                 ///< under way; ends with the agent's failure, or when its "off" is believed or not
    TimePoint fence_since;
    std::uint32_t fence_failures = 0;  ///< in a row
    TimePoint fence_retry_at;
    std::string fence_error;           ///< why the last attempt failed; empty: it did not
    TimePoint said_off = kNever;       ///< when the agent said so, on the fair clock; `fence` stands until it is believed or not
    TimePoint off_at;                  ///< when it was believed
};

/// Own lateness and mass failure.
struct GateState {
    bool closed = false;
    TimePoint closed_at;
    std::string reason;
    std::deque<TimePoint> missed;  ///< on the fair clock, inside the window
    std::set<NodeId> held;
    std::uint32_t population = 0;    ///< nodes that should be heard
};

/// The destruction under way of an instance with our mark that is in no record.
struct Orphan {
    OperationId operation;
    TimePoint asked;
};

/// Finding out what runs after the records were lost (rebuild.cpp).
struct RebuildState {
    TimePoint until;                  ///< every lease granted by an earlier manager is over then
    TimePoint look_at;                ///< not looked at more often than once per tick
    std::set<std::pair<SessionId, NodeId>> frozen;  ///< reported as frozen: may have been replaced
    std::set<NodeId> unknown;         ///< with our mark, and nothing is known of what they are made of
    std::uint32_t adopted = 0;
    std::vector<std::string> lost;    ///< what could not be rebuilt, for people
    std::size_t not_named = 0;
};

/// Counted, never trusted.
struct Oddities {
    std::uint64_t unknown_node = 0;
    std::uint64_t stale_registration = 0;
    std::uint64_t unknown_operation = 0;
    std::uint64_t stale_status = 0;
    std::uint64_t unexpected_message = 0;
    std::uint64_t unknown_client = 0;
    std::uint64_t unknown_instance = 0;
    std::uint64_t from_future = 0;  ///< under a registration that this manager has not given out yet
    std::uint64_t fencing_failed = 0;    ///< a fence agent that failed, hung, or is missing
    std::uint64_t fence_disbelieved = 0;  ///< it said "off", and somebody on that host was heard later
};

struct State {
    explicit State(const Settings& given) : settings(given) {}

    Settings settings;

    // ---- durable
    Single<ManagerRecord> manager{"manager"};
    Table<HostId, HostRecord> hosts{"host"};
    NamedTable<PoolRecord> pools{"pool"};
    NamedTable<EnvironmentRecord> environments{"environment"};
    NamedTable<ProfileRecord> profiles{"profile"};
    Table<NodeId, NodeRecord> nodes{"node"};
    Table<TerminalId, TerminalRecord> terminals{"terminal"};
    Table<SessionId, SessionRecord> sessions{"session"};
    Table<IncidentId, IncidentRecord> incidents{"incident"};

    // ---- derived from the durable half (index.cpp keeps them)
    std::map<std::string, HostId> host_names;
    std::map<std::string, TerminalId> terminal_names;
    std::unordered_map<NodeId, NodeUse> uses;
    std::set<NodeId> open_execution;     ///< serving in that role, fit, with a free slot
    std::set<NodeId> open_presentation;
    std::set<NodeId> unused;             ///< serving without any use: to be returned at the end of the step
    std::set<Wanting> wanting;           ///< terminals with needs
    std::uint64_t next_wanting = 1;

    // ---- live
    std::unordered_map<NodeId, NodeLive> live;
    std::unordered_map<TerminalId, TerminalLive> terminal_live;
    std::unordered_map<SessionId, SessionLive> session_live;
    std::map<HostId, HostLive> host_live;
    std::map<std::string, PoolLive> pool_live;
    std::unordered_map<OperationId, NodeId> operations;
    std::unordered_map<OperationId, HostId> fences;
    std::map<std::pair<HostId, NodeId>, Orphan> orphans;  ///< strangers being destroyed
    std::map<IncidentId, TimePoint> incident_start;
    TimePoint refill_from{};  ///< nothing is made before, for the sake of pools alone
    std::unordered_map<ClientId, TerminalId> clients;
    std::map<std::pair<ClientId, std::uint64_t>, AdminReply> answered;  ///< bounded; repeats are answered like the first
    std::deque<std::pair<ClientId, std::uint64_t>> answered_order;
    std::optional<std::set<std::string>> images;  ///< of guests, as far as somebody told
    GateState gate;
    RebuildState rebuild;
    Oddities oddities;
    Figures figures;
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
    std::uint64_t next_operation = 0;
    std::uint64_t next_witness_request = 0;
    std::uint32_t witness_requests = 0;  ///< in this tick
    std::deque<TerminalId> queue;  ///< terminals to plan for
    std::set<TerminalId> to_tell;  ///< planned for in this step; their people are told once pools are planned
    bool pools_dirty = false;
    Step step;                     ///< under construction

    /// Time with the manager's own stalls taken out; lateness of others is measured on it.
    [[nodiscard]] TimePoint fair() const { return now - stalled; }
};

}  // namespace understudy::manager
