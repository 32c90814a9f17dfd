// What an agent accepts, refuses and gives up by itself: pure and deterministic, as the manager's core.
// The agent program carries the actions out (containers, X servers, doors) and reports what happened;
// the simulator drives the very same code with fakes.
//
// Rules kept here (promises S1, S3):
//  - nothing is obeyed that belongs to another registration, or to an epoch older than one accepted;
//  - the lease counts from when the acknowledged heartbeat was *sent*, on the agent's own clock; when it
//    runs out every primary session is frozen and every door refuses, without asking anybody;
//  - while a Hello is unanswered nothing is obeyed (registration 0); a Welcome counts only when it
//    answers a Hello of this waiting time (incarnation and number); right behind it the agent sends a
//    Heartbeat, which puts the registration into effect at the manager, and a fresh status of everything;
//  - every report (SessionStatus, DesktopStatus, LayoutReport) is repeated each heartbeat interval until
//    its ReportAck came; only the newest report per session, desktop and layout is kept for that;
//  - a node that lost its lease or its registration says Hello again and waits for Welcome before it
//    serves; it thaws only sessions that the manager confirms under the new registration.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/result.hpp"
#include "protocol/time.hpp"

namespace understudy::node {

/// What does not change while the agent runs.
struct Identity {
    NodeId node;
    std::uint64_t incarnation = 0;  ///< random per start of the agent
    std::string software;
    std::string host_name;
    std::uint32_t slots = 4;
    std::uint16_t door_port = 5900;
    std::string door_key = {};  ///< as in Endpoint
    std::uint32_t memory_mib = 0;
    bool can_checkpoint = false;
    std::string checkpoint_reason;
};

// ---------------------------------------------------------------------------- events

struct FromManager { Message message; };
/// Something happened to a session or to what is kept for it as a backup: the performer fills phase,
/// ending, in_force, protection_reason, restored_from, checkpoints (complete set), interval_ms, detail.
/// session and epoch say whom it concerns; stale ones are dropped.
struct SessionHappened { SessionStatus status; };
/// The same for a desktop: phase, windows, detail.
struct DesktopHappened { DesktopStatus status; };
struct LayoutChanged { TerminalId terminal; std::vector<WindowPlace> places; };
struct LoadMeasured { std::uint32_t load_permille = 0; std::uint32_t memory_used_mib = 0; };
struct WitnessResult { std::uint64_t request = 0; NodeId suspect; bool reached = false; std::uint32_t round_trip_us = 0; };
/// The connection to the manager broke or came back (a hint: Hello or heartbeat goes out at once).
struct LinkChanged { bool up = false; };
struct Woken {};

using Event = std::variant<FromManager, SessionHappened, DesktopHappened, LayoutChanged, LoadMeasured,
                           WitnessResult, LinkChanged, Woken>;

// ---------------------------------------------------------------------------- actions

struct SendToManager { Message message; };
/// Make the session on this node what the assignment says: start (afresh, or from `restore`), update peers
/// and admitted presentation epoch, stand by as backup, or give up. Idempotent. When `duty` is released and
/// `peers` is not empty: take a last checkpoint, bring it to the peers, then end.
struct PerformSession { AssignSession assign; };
struct PerformDesktop { AssignDesktop assign; };
/// Freeze (or thaw) every primary session; doors refuse everything while frozen.
struct FreezeSession { SessionId session; };
struct ThawSession { SessionId session; };
struct CloseDoor {};   ///< refuse and cut all streams: the lease is gone
struct OpenDoor {};    ///< streams with valid tickets are admitted again
struct Witness { std::uint64_t request = 0; NodeId suspect; Endpoint endpoint; };

using Action = std::variant<SendToManager, PerformSession, PerformDesktop, FreezeSession, ThawSession,
                            CloseDoor, OpenDoor, Witness>;

struct Step {
    std::vector<Action> actions;   ///< in order
    TimePoint wake_at = kNever;
};

/// See the file comment. One per agent process; the agent's main thread owns it.
class AgentCore {
  public:
    explicit AgentCore(Identity identity);

    /// First Hello. Call once, before handle().
    [[nodiscard]] Step start(TimePoint now);

    /// Precondition: `now` never falls. Never fails: nonsense is refused or dropped and counted.
    [[nodiscard]] Step handle(TimePoint now, const Event& event);

    /// May the bearer of these (signature-checked) claims have its stream now? The refusal says why.
    /// Checks: door is this node, lease valid, purpose and duty fit, session/desktop known and running,
    /// epochs not older than accepted. Expiry and single use are the ticket book's. Errors: `refused` (never again:
    /// another door, an old epoch), `unavailable` (a moment from now it may be different).
    [[nodiscard]] Result<> admits(const TicketClaims& claims, TimePoint now) const;

    /// The manager's clock in Unix milliseconds, as far as this node knows it; tickets expire by it. 0: it never said.
    [[nodiscard]] std::int64_t manager_wall_ms(TimePoint now) const;

    /// True while this node may act as a primary.
    [[nodiscard]] bool lease_valid(TimePoint now) const;
    /// The first moment at which it may not; TimePoint{}: it may not now.
    [[nodiscard]] TimePoint lease_end() const { return door_open_ ? lease_until_ : TimePoint{}; }
    [[nodiscard]] std::uint64_t registration() const { return registration_; }
    [[nodiscard]] const std::string& ticket_key() const { return ticket_key_; }

    /// Newest epoch accepted for a session / desktop, 0 if never.
    [[nodiscard]] Epoch accepted_epoch(SessionId session) const;
    [[nodiscard]] Epoch accepted_epoch(TerminalId terminal) const;

    /// Refusals counted since the start: stale registration, stale epoch, unexpected.
    struct Counters { std::uint64_t stale_registration = 0, stale_epoch = 0, unexpected = 0; };
    [[nodiscard]] const Counters& counters() const { return counters_; }

  private:
    /// One thing this node was told to be, and what it says about it.
    template <class Assign, class Status>
    struct Held {
        Assign assign;
        Status status;                 ///< as last reported
        Phase actual = Phase::preparing;  ///< what the performer says; hidden behind `frozen` while that holds
        bool frozen = false;
        bool acknowledged = true;      ///< the newest report has arrived
        TimePoint reported{};
    };
    using Session = Held<AssignSession, SessionStatus>;
    struct Desktop : Held<AssignDesktop, DesktopStatus> {
        LayoutReport layout;
        bool layout_acknowledged = true;
        TimePoint layout_reported{};
    };
    /// What was accepted for one session or desktop, kept after it is gone.
    struct Accepted {
        std::uint64_t registration = 0;
        Version version;
        Epoch over = 0;  ///< newest epoch whose primary on this node has ended: it is never started again
    };
    enum class Verdict : std::uint8_t { refuse, repeat, obey };

    void sign(TimePoint now);
    void say_hello(TimePoint now);
    void say_heartbeat(TimePoint now);
    void repeat_reports(TimePoint now);
    void expire(TimePoint now);
    void report(Session& session, TimePoint now);
    void report(Desktop& desktop, TimePoint now);
    void report_layout(Desktop& desktop, TimePoint now);
    void on_welcome(const Welcome& welcome, TimePoint now);
    void on_message(const Message& message, TimePoint now);
    void note_clock(std::int64_t wall_ms, TimePoint now);
    void on_ack(const ReportAck& ack);
    void on_assign(const AssignSession& assign, TimePoint now);
    void on_assign(const AssignDesktop& assign, TimePoint now);
    void on_event(const FromManager& event, TimePoint now);
    void on_event(const SessionHappened& event, TimePoint now);
    void on_event(const DesktopHappened& event, TimePoint now);
    void on_event(const LayoutChanged& event, TimePoint now);
    void on_event(const LoadMeasured& event, TimePoint now);
    void on_event(const WitnessResult& event, TimePoint now);
    void on_event(const LinkChanged& event, TimePoint now);
    void on_event(const Woken& event, TimePoint now);
    [[nodiscard]] Verdict judge(const Accepted& accepted, Version version);
    template <class Thing, class Assign>
    void answer_stale(Thing& thing, const Assign& assign, const Accepted& accepted, TimePoint now);
    template <class Key>
    void forget_oldest(std::map<Key, Accepted>& accepted) const;
    [[nodiscard]] Step finish();

    Identity identity_;
    std::uint64_t registration_ = 0;   ///< 0: saying Hello
    std::string ticket_key_;
    std::int64_t manager_wall_ms_ = 0;  ///< as last heard of it
    TimePoint manager_heard_{};
    Duration heartbeat_{1'000'000};
    Duration lease_{};
    TimePoint lease_until_{};
    bool door_open_ = false;           ///< as long as the lease has not run out
    std::uint64_t sequence_ = 0;       ///< of heartbeats
    std::uint64_t hellos_ = 0;
    std::uint64_t reports_ = 0;
    TimePoint next_sign_{};                                ///< next Hello or Heartbeat
    std::map<std::uint64_t, TimePoint> unacknowledged_;    ///< heartbeat sequence → sent; bounded
    std::map<std::uint64_t, TimePoint> hellos_sent_;       ///< of this waiting time; bounded
    std::uint32_t load_permille_ = 0;
    std::uint32_t memory_used_mib_ = 0;
    std::map<SessionId, Session> sessions_;
    std::map<TerminalId, Desktop> desktops_;
    std::map<SessionId, Accepted> accepted_sessions_;      ///< bounded
    std::map<TerminalId, Accepted> accepted_desktops_;     ///< bounded
    Counters counters_;
    Step step_;                        ///< under construction
};

}  // namespace understudy::node
