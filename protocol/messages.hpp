// Every control message that travels between the manager and its peers, as plain values.
// The wire form is a msgpack map per message (see codec.hpp); meaning and rules are in PROTOCOL.md.
//
// The manager *assigns*, declaratively: an AssignSession or AssignDesktop says what one node should be
// doing for one session or desktop, and carries a Version. Sending it twice changes nothing. The node
// answers with a status that carries the version it has accepted, and sends it again on every change.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "protocol/fields.hpp"
#include "protocol/ids.hpp"

namespace understudy {

// ---------------------------------------------------------------------------- shared vocabulary

/// What a node is for, for one session or desktop.
enum class Duty : std::uint8_t { released = 0, primary = 1, backup = 2 };

/// How the execution state of a session is protected; each level is honest about what it loses.
enum class Protection : std::uint8_t { restart = 0, checkpoint = 1 };

/// Where the actual thing on a node stands.
enum class Phase : std::uint8_t {
    preparing = 0,  ///< accepted, being set up
    running = 1,    ///< primary: serving. Desktop: pictures can be taken from it
    standby = 2,    ///< backup: ready to take over
    frozen = 3,     ///< the lease ran out: stopped, streams refused
    ended = 4,      ///< it ran and ended; `detail` says how (this is proof: nothing runs any more)
    failed = 5,     ///< it could not be started; nothing runs
    released = 6,   ///< given up on demand; nothing runs and nothing is kept
};

/// Why a session is over when phase is `ended`.
enum class Ending : std::uint8_t { none = 0, closed = 1, crashed = 2 };

/// Address of a door: the one TCP port of a node through which all its streams go. Whoever connects accepts no other
/// key than `key`; without one nobody connects.
struct Endpoint {
    std::string host;
    std::uint16_t port = 0;
    std::string key = {};  ///< SHA-256 of the door's public key, base64url; empty: not known (yet)
    UNDERSTUDY_FIELDS(Endpoint, host, port, key)
};

/// What a ticket lets its bearer do at a node's door.
enum class Purpose : std::uint8_t {
    window = 1,      ///< a presentation node takes a session's window
    desktop = 2,     ///< a terminal takes a desktop
    checkpoint = 3,  ///< an execution primary brings checkpoints to a backup
};

/// The content of a ticket. The manager signs it (ticket.hpp); doors check it against what they accept.
/// `epoch` is of the bearer: the presentation epoch for `window` and `desktop`, the session's for
/// `checkpoint`. `serving_epoch` is of the session shown for `window`, 0 otherwise.
struct TicketClaims {
    Purpose purpose = Purpose::window;
    TerminalId terminal;
    SessionId session;   ///< none for `desktop`
    NodeId door;         ///< whose door it opens
    NodeId bearer;       ///< which node may present it; none for `desktop`
    Epoch epoch = 0;
    Epoch serving_epoch = 0;
    std::uint64_t serial = 0;          ///< unique: lets in once. Rises, also over incarnations of the manager
    std::int64_t expires_wall_ms = 0;  ///< by the manager's clock, Unix milliseconds; stamped when it is sealed
    UNDERSTUDY_FIELDS(TicketClaims, purpose, terminal, session, door, bearer, epoch, serving_epoch,
                      serial, expires_wall_ms)
};

/// Claims and, once the manager's runtime has sealed it, the text to present at the door.
struct Ticket {
    TicketClaims claims;
    std::string text;  ///< base64; empty until sealed
    UNDERSTUDY_FIELDS(Ticket, claims, text)
};

/// What to run for a session.
struct Application {
    std::string name;   ///< "xterm"; stable key, also the icon's and window class's name
    std::string title;  ///< for people
    std::vector<std::string> command;
    std::string environment;  ///< bundle it needs; empty: the image's own
    UNDERSTUDY_FIELDS(Application, name, title, command, environment)
};

/// Names one checkpoint of a session: `sequence` rises within an epoch.
struct CheckpointId {
    Epoch epoch = 0;
    std::uint64_t sequence = 0;
    auto operator<=>(const CheckpointId&) const = default;
    template <class Self, class Visit>
    static void each_field(Self& self, Visit& visit) {
        visit("epoch", self.epoch);
        visit("sequence", self.sequence);
    }
};

/// A complete, verified and synced checkpoint held by the node that reports it.
struct CheckpointInfo {
    CheckpointId id;
    std::int64_t taken_wall_ms = 0;  ///< wall clock of the node that took it
    std::uint64_t bytes = 0;         ///< transferred for this one
    std::uint32_t pause_ms = 0;      ///< for how long the application stood still
    UNDERSTUDY_FIELDS(CheckpointInfo, id, taken_wall_ms, bytes, pause_ms)
};

/// A backup to which a primary streams its checkpoints.
struct Peer {
    NodeId node;
    Endpoint endpoint;
    Ticket ticket;
    UNDERSTUDY_FIELDS(Peer, node, endpoint, ticket)
};

/// Where one application window stands on a desktop (outer position, inner size, in pixels).
struct WindowPlace {
    SessionId session;
    std::int32_t x = 0;
    std::int32_t y = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t stacking = 0;  ///< 0 is lowest
    bool focused = false;
    bool maximized = false;
    bool minimized = false;
    UNDERSTUDY_FIELDS(WindowPlace, session, x, y, width, height, stacking, focused, maximized, minimized)
};

/// Where a desktop gets the window of one session from. With `endpoint.port == 0` there is nothing to
/// connect to at the moment and `waiting` says why, in words for the person at the terminal.
struct WindowSource {
    SessionId session;
    Epoch session_epoch = 0;
    Endpoint endpoint;
    Ticket ticket;
    std::string application;
    std::string title;
    std::string waiting;
    UNDERSTUDY_FIELDS(WindowSource, session, session_epoch, endpoint, ticket, application, title, waiting)
};

// ---------------------------------------------------------------------------- node → manager

/// State of one session (or what a backup holds for it) on the reporting node.
struct SessionStatus {
    std::uint64_t registration = 0;
    std::uint64_t number = 0;  ///< rises with every report of one agent; repeated until a ReportAck names it
    SessionId session;
    Epoch epoch = 0;
    std::uint64_t revision = 0;
    Duty duty = Duty::released;
    Phase phase = Phase::preparing;
    Ending ending = Ending::none;
    Protection in_force = Protection::restart;  ///< what it can really give now
    std::string protection_reason;              ///< why that, when it is less than asked for
    CheckpointId restored_from;                 ///< {0,0}: started afresh
    std::vector<CheckpointInfo> checkpoints;    ///< newest last; at most two
    std::uint32_t interval_ms = 0;              ///< between checkpoints, as adapted
    std::string detail;
    std::uint64_t void_ticket = 0;              ///< serial of a peer's ticket that its door takes no more: another is wanted
    UNDERSTUDY_FIELDS(SessionStatus, registration, number, session, epoch, revision, duty, phase, ending, in_force,
                      protection_reason, restored_from, checkpoints, interval_ms, detail, void_ticket)
};

/// What a desktop's window shows right now.
struct WindowStatus {
    SessionId session;
    Epoch session_epoch = 0;
    bool connected = false;
    bool picture = false;  ///< a complete picture of that epoch has been drawn
    std::uint64_t void_ticket = 0;  ///< serial of its ticket when the door takes it no more: another is wanted
    UNDERSTUDY_FIELDS(WindowStatus, session, session_epoch, connected, picture, void_ticket)
};

/// State of one terminal's desktop on the reporting node.
struct DesktopStatus {
    std::uint64_t registration = 0;
    std::uint64_t number = 0;  ///< as in SessionStatus
    TerminalId terminal;
    Epoch epoch = 0;
    std::uint64_t revision = 0;
    Duty duty = Duty::released;
    Phase phase = Phase::preparing;
    std::vector<WindowStatus> windows;
    std::string detail;
    UNDERSTUDY_FIELDS(DesktopStatus, registration, number, terminal, epoch, revision, duty, phase, windows,
                      detail)
};

/// What a node was told to be for one session. A manager that lost its records learns from it which session of
/// whom this is; one that has them has no use for it.
struct HeldSession {
    SessionId session;
    TerminalId terminal;
    std::string terminal_name;
    std::string profile;
    Epoch epoch = 0;
    Duty duty = Duty::released;
    Application application;
    Protection protection = Protection::restart;
    UNDERSTUDY_FIELDS(HeldSession, session, terminal, terminal_name, profile, epoch, duty, application, protection)
};

/// The same for one terminal's desktop.
struct HeldDesktop {
    TerminalId terminal;
    std::string terminal_name;
    std::string profile;
    Epoch epoch = 0;
    Duty duty = Duty::released;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::vector<WindowPlace> places;  ///< as last reported by the primary
    UNDERSTUDY_FIELDS(HeldDesktop, terminal, terminal_name, profile, epoch, duty, width, height, places)
};

/// First word of a node, and again whenever its registration is not accepted any more. Complete: what
/// is not listed does not run on this node.
struct Hello {
    NodeId node;
    std::uint64_t incarnation = 0;  ///< random, new with every start of the agent
    std::uint64_t number = 0;       ///< rises with every Hello of this incarnation
    std::string software;           ///< version, for people
    std::string host_name;
    std::uint32_t slots = 0;        ///< sessions or desktops (primary or backup) it can carry
    std::uint16_t door_port = 0;    ///< as seen by the node itself
    std::uint32_t memory_mib = 0;
    bool can_checkpoint = false;
    std::string checkpoint_reason;  ///< why not
    std::vector<SessionStatus> sessions;
    std::vector<DesktopStatus> desktops;
    std::vector<HeldSession> held_sessions;  ///< what does not run any more is left out
    std::vector<HeldDesktop> held_desktops;
    std::string door_key;           ///< as in Endpoint; new with every start of the agent
    UNDERSTUDY_FIELDS(Hello, node, incarnation, number, software, host_name, slots, door_port, memory_mib,
                      can_checkpoint, checkpoint_reason, sessions, desktops, held_sessions, held_desktops, door_key)
};

/// "I am alive", and a request to renew the lease.
struct Heartbeat {
    std::uint64_t registration = 0;
    std::uint64_t sequence = 0;
    std::uint32_t load_permille = 0;    ///< of all its processors, over the last interval
    std::uint32_t memory_used_mib = 0;
    UNDERSTUDY_FIELDS(Heartbeat, registration, sequence, load_permille, memory_used_mib)
};

/// The windows' places changed on a primary desktop.
struct LayoutReport {
    std::uint64_t registration = 0;
    std::uint64_t number = 0;  ///< as in SessionStatus
    TerminalId terminal;
    Epoch epoch = 0;
    std::vector<WindowPlace> places;
    UNDERSTUDY_FIELDS(LayoutReport, registration, number, terminal, epoch, places)
};

/// A witness's answer: could the suspect's door be reached just now?
struct WitnessReport {
    std::uint64_t registration = 0;
    std::uint64_t request = 0;
    NodeId suspect;
    bool reached = false;
    std::uint32_t round_trip_us = 0;
    UNDERSTUDY_FIELDS(WitnessReport, registration, request, suspect, reached, round_trip_us)
};

// ---------------------------------------------------------------------------- manager → node

/// The node may use this registration. It takes effect, on both sides, with the first message the node
/// sends under it: so a Hello that was delayed or repeated on its way never replaces a living
/// registration by old news. Everything said under an older registration is void on both sides.
struct Welcome {
    std::uint64_t registration = 0;  ///< rises for ever, over manager restarts too
    std::uint64_t incarnation = 0;   ///< of the agent this answers
    std::uint64_t hello = 0;         ///< number of the Hello this answers
    std::uint32_t heartbeat_ms = 0;
    std::uint32_t lease_ms = 0;      ///< counted by the node from when it *sent* the acknowledged heartbeat (or Hello)
    std::string ticket_key;          ///< public key that tickets are signed with, base64
    std::int64_t wall_ms = 0;        ///< the manager's clock when it was sent; tickets expire by it
    UNDERSTUDY_FIELDS(Welcome, registration, incarnation, hello, heartbeat_ms, lease_ms, ticket_key, wall_ms)
};

/// Renews the lease up to `lease_ms` after heartbeat `sequence` was sent.
struct HeartbeatAck {
    std::uint64_t registration = 0;
    std::uint64_t sequence = 0;
    std::int64_t wall_ms = 0;        ///< as in Welcome
    UNDERSTUDY_FIELDS(HeartbeatAck, registration, sequence, wall_ms)
};

/// The report with this number has arrived.
struct ReportAck {
    std::uint64_t registration = 0;
    std::uint64_t number = 0;
    UNDERSTUDY_FIELDS(ReportAck, registration, number)
};

/// The manager does not know this registration (any more): say Hello again.
struct NotRegistered {
    std::uint64_t registration = 0;
    std::string reason;
    UNDERSTUDY_FIELDS(NotRegistered, registration, reason)
};

/// What this node should be for one session from now on.
struct AssignSession {
    std::uint64_t registration = 0;
    SessionId session;
    TerminalId terminal;
    std::string terminal_name;
    std::string profile;             ///< of the terminal
    Epoch epoch = 0;
    std::uint64_t revision = 0;
    Duty duty = Duty::released;
    Application application;
    Protection protection = Protection::restart;
    CheckpointId restore;            ///< primary: start from this one it holds; {0,0}: start afresh
    std::vector<Peer> peers;         ///< primary: where checkpoints go
    Epoch presentation_epoch = 0;    ///< the door admits no window ticket older than this
    NodeId presentation;             ///< whose window is the active one
    IncidentId incident;
    UNDERSTUDY_FIELDS(AssignSession, registration, session, terminal, terminal_name, profile, epoch, revision, duty,
                      application, protection, restore, peers, presentation_epoch, presentation, incident)
};

/// What this node should be for one terminal's desktop from now on.
struct AssignDesktop {
    std::uint64_t registration = 0;
    TerminalId terminal;
    std::string terminal_name;
    std::string profile;
    Epoch epoch = 0;
    std::uint64_t revision = 0;
    Duty duty = Duty::released;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::vector<WindowSource> windows;
    std::vector<WindowPlace> layout;
    IncidentId incident;
    UNDERSTUDY_FIELDS(AssignDesktop, registration, terminal, terminal_name, profile, epoch, revision, duty, width,
                      height, windows, layout, incident)
};

/// Try to reach a suspect's door and say what happened.
struct WitnessRequest {
    std::uint64_t registration = 0;
    std::uint64_t request = 0;
    NodeId suspect;
    Endpoint endpoint;
    UNDERSTUDY_FIELDS(WitnessRequest, registration, request, suspect, endpoint)
};

// ---------------------------------------------------------------------------- terminal ↔ manager

/// A terminal program asks to be served. Repeating it is harmless.
struct TerminalAttach {
    std::string terminal;        ///< its name
    std::uint32_t width = 0;     ///< wished desktop size; 0: the profile's
    std::uint32_t height = 0;
    Epoch accepted = 0;          ///< newest presentation epoch it has obeyed
    UNDERSTUDY_FIELDS(TerminalAttach, terminal, width, height, accepted)
};

/// The person leaves; the session is kept until its time limit.
struct TerminalDetach {
    std::string terminal;
    UNDERSTUDY_FIELDS(TerminalDetach, terminal)
};

/// What the terminal sees; closes the record of an incident.
struct TerminalSeen {
    TerminalId terminal;
    Epoch epoch = 0;
    std::string what;  ///< "connected", "picture", "lost"
    IncidentId incident;
    UNDERSTUDY_FIELDS(TerminalSeen, terminal, epoch, what, incident)
};

/// Where the desktop is, now. A terminal refuses an epoch older than one it has obeyed.
struct TerminalRedirect {
    TerminalId terminal;
    Epoch epoch = 0;
    Endpoint endpoint;
    Ticket ticket;
    IncidentId incident;
    UNDERSTUDY_FIELDS(TerminalRedirect, terminal, epoch, endpoint, ticket, incident)
};

/// The terminal cannot be served this moment; the manager is on it, or says when to ask again.
struct TerminalWaiting {
    TerminalId terminal;
    std::string reason;
    std::uint32_t retry_ms = 0;
    UNDERSTUDY_FIELDS(TerminalWaiting, terminal, reason, retry_ms)
};

/// Final: asking again in the same way will not help.
struct TerminalRefused {
    std::uint32_t code = 0;  ///< ErrorCode
    std::string reason;
    UNDERSTUDY_FIELDS(TerminalRefused, code, reason)
};

/// Another place has this terminal's desktop now. The terminal leaves it and asks again only when its person
/// wants it back: two that each came back by themselves would take it from each other for ever.
struct TerminalTaken {
    TerminalId terminal;
    std::string reason;
    UNDERSTUDY_FIELDS(TerminalTaken, terminal, reason)
};

/// A line for the person at the terminal, shown for a while over the picture.
struct TerminalNotice {
    TerminalId terminal;
    std::string text;
    UNDERSTUDY_FIELDS(TerminalNotice, terminal, text)
};

// ---------------------------------------------------------------------------- operators ↔ manager

/// A question or an act of an administrator; `verb` and `arguments` are listed in PROTOCOL.md.
/// Answered exactly once per `request`; an act repeated with the same `request` is answered like the first.
struct AdminRequest {
    std::uint64_t request = 0;
    std::string verb;
    std::vector<std::string> arguments;  ///< "key=value" pairs
    UNDERSTUDY_FIELDS(AdminRequest, request, verb, arguments)
};

/// `json` is the answer to a question; `text` is for people.
struct AdminReply {
    std::uint64_t request = 0;
    std::uint32_t code = 0;  ///< 0: done; else an ErrorCode
    std::string text;
    std::string json;
    UNDERSTUDY_FIELDS(AdminReply, request, code, text, json)
};

/// Pushed to whoever asked with verb "watch": the whole view as JSON, at most ten times a second.
struct AdminUpdate {
    std::string json;
    UNDERSTUDY_FIELDS(AdminUpdate, json)
};

/// Any one message. The alternative's position is its type number on the wire, plus one: only append.
// ---------------------------------------------------------------------------- keys

/// An agent → the manager: the bearer of a key makes another one its own, whose secret half never leaves it. Said with a
/// one-time key, which may say nothing else, and whenever a key is to be replaced. It has kept both halves of the new
/// key before it says so, and may say it again.
struct NameKey {
    std::string public_key;  ///< Z85, 40 characters
    UNDERSTUDY_FIELDS(NameKey, public_key)
};

/// Answer to NameKey. `code` 0: the new key is admitted, and with its first word the one that named it is void.
struct KeyNamed {
    std::string public_key;  ///< as it was said
    std::uint32_t code = 0;  ///< an ErrorCode; `unavailable`: say it again
    std::string text;        ///< why not, for people
    UNDERSTUDY_FIELDS(KeyNamed, public_key, code, text)
};

using Message = std::variant<Hello, Heartbeat, SessionStatus, DesktopStatus, LayoutReport, WitnessReport,
                             Welcome, HeartbeatAck, NotRegistered, AssignSession, AssignDesktop, WitnessRequest,
                             TerminalAttach, TerminalDetach, TerminalSeen, TerminalRedirect, TerminalWaiting,
                             TerminalRefused, AdminRequest, AdminReply, AdminUpdate, ReportAck, TerminalTaken,
                             TerminalNotice, NameKey, KeyNamed>;

/// "Hello", "AssignSession", … for logs.
[[nodiscard]] const char* name_of(const Message& message);

}  // namespace understudy
