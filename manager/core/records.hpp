// What the manager must never forget: the durable half of its state, one record per thing.
// Records are plain values; the Core owns them, the store keeps their msgpack form under a key such as
// "session/12". A new field is optional by nature: a missing key leaves the default.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/messages.hpp"

namespace understudy::manager {

/// How far apart a backup must be from its primary.
enum class Separation : std::uint8_t {
    instance = 0,  ///< another instance is enough (one machine: covers failures of instances only)
    host = 1,      ///< never the same host
    domain = 2,    ///< never the same host; another failure domain wherever there are enough
};

/// What happens when somebody attaches to a terminal that is in use at another place.
enum class SecondAttach : std::uint8_t {
    take_over = 0,  ///< the newest place gets the desktop, the other one is told
    refuse = 1,     ///< the first place keeps it and is told; the newcomer is told to wait
};

/// How ready an instance is kept.
enum class Tier : std::uint8_t {
    running = 0,  ///< booted, its agent registered
    paused = 1,   ///< restored from a snapshot of a booted instance, and standing still
};

/// Whether a host has power. What is not known to be off counts as on.
enum class Power : std::uint8_t {
    on = 0,
    going_off = 1,  ///< an administrator wants it off; nobody on it registers until its fence agent has answered
    off = 2,        ///< its fence agent said so, and nobody on it has been heard since
};

enum class NodeKind : std::uint8_t { instance = 0, enrolled = 1 };
enum class Role : std::uint8_t { none = 0, execution = 1, presentation = 2 };

/// Life of a node. An instance: creating → booting → idle → serving → scrubbing → booting …, one that is kept
/// standing still: creating → paused → resuming → booting …; and condemned → (record erased) at the end. An
/// enrolled node: idle → serving → idle.
enum class NodeState : std::uint8_t {
    creating = 0,   ///< asked of the hypervisor; may or may not exist
    booting = 1,    ///< exists; its agent has not registered yet
    idle = 2,       ///< registered, clean, nobody's
    serving = 3,    ///< has at least one assignment
    scrubbing = 4,  ///< being brought back to the base image's state with a new identity
    condemned = 5,  ///< must not run any more; being destroyed; `reason` is the recorded intent
    paused = 6,     ///< exists and stands still, restored from a snapshot of a booted instance
    resuming = 7,   ///< is told to continue with a fresh identity
};

/// How machines are spread over hosts, and work over machines.
enum class Policy : std::uint8_t {
    spread = 0,  ///< least used first: what one failure takes is small
    pack = 1,    ///< most used first: what is not needed stays empty
};

/// Evidence that a node (or one session on it) is not running any more. See ARCHITECTURE.md, "Proof".
enum class Proof : std::uint8_t {
    none = 0,
    instance_ended = 1,  ///< the hypervisor's process is gone
    destroyed = 2,       ///< the hypervisor confirmed that the instance does not exist
    lease_expired = 3,   ///< the node froze by itself: lease plus drift margin are over
    host_fenced = 4,     ///< a fence agent confirmed power-off
    agent_reported = 5,  ///< the agent itself said that the session ended
};

/// One per store.
struct ManagerRecord {
    std::uint64_t incarnation = 0;  ///< rises with every start
    std::uint64_t next_id = 1;
    bool rebuilding = false;    ///< the records were lost or are old: what runs decides (rebuild.cpp)
    std::string rebuild_cause;  ///< why, for people
    UNDERSTUDY_FIELDS(ManagerRecord, incarnation, next_id, rebuilding, rebuild_cause)
};

struct HostRecord {
    HostId id;
    std::string name;
    std::string uri;
    std::string domain;
    std::uint32_t vcpus = 0;
    std::uint32_t memory_mib = 0;
    bool maintenance = false;
    bool can_fence = false;
    bool adopts = false;  ///< not listed yet since the records were lost: strangers with our mark there are taken in
    std::uint64_t disk_mib = 0;       ///< 0: not counted
    std::string address;              ///< where doors of its instances are reached; empty: 127.0.0.1
    std::vector<std::string> labels;  ///< what pools may ask for
    Power power = Power::on;
    UNDERSTUDY_FIELDS(HostRecord, id, name, uri, domain, vcpus, memory_mib, maintenance, can_fence, disk_mib, address,
                      labels, adopts, power)
};

/// A pool of interchangeable instances; its name is the flavour's.
struct PoolRecord {
    std::string flavour;
    std::string image;
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 512;
    std::uint32_t slots = 4;  ///< assignments one instance carries
    std::uint32_t min_idle = 0;
    std::uint32_t max_idle = 4;
    std::uint32_t max_total = 64;
    std::uint64_t disk_mib = 0;       ///< of an instance; 0: as large as the image
    std::string environment;          ///< deployed before anybody asks; empty: none
    std::uint32_t min_paused = 0;     ///< kept standing still
    std::uint32_t max_paused = 0;
    bool follow_demand = false;       ///< targets rise above the minima with demand (demand.hpp)
    Policy policy = Policy::spread;
    std::vector<std::string> labels;  ///< a host must have all of them
    UNDERSTUDY_FIELDS(PoolRecord, flavour, image, vcpus, memory_mib, slots, min_idle, max_idle, max_total, disk_mib,
                      environment, min_paused, max_paused, follow_demand, policy, labels)
};

/// A bundle that turns a machine into one that can run an application. Its content is known by its digest.
struct EnvironmentRecord {
    std::string name;
    std::string digest;  ///< "sha256:…" of the bundle
    std::uint64_t bytes = 0;
    UNDERSTUDY_FIELDS(EnvironmentRecord, name, digest, bytes)
};

struct ProfileApplication {
    Application application;
    Protection protection = Protection::checkpoint;
    UNDERSTUDY_FIELDS(ProfileApplication, application, protection)
};

/// What terminals of one kind get.
struct ProfileRecord {
    std::string name;
    std::string flavour;
    std::vector<ProfileApplication> applications;
    std::uint32_t presentation_backups = 1;
    std::uint32_t execution_backups = 1;
    Separation separation = Separation::host;
    std::uint32_t width = 1280;
    std::uint32_t height = 800;
    std::uint64_t keep_detached_ms = 12ull * 3600 * 1000;
    SecondAttach second_attach = SecondAttach::take_over;
    UNDERSTUDY_FIELDS(ProfileRecord, name, flavour, applications, presentation_backups, execution_backups,
                      separation, width, height, keep_detached_ms, second_attach)
};

struct NodeRecord {
    NodeId id;
    NodeKind kind = NodeKind::instance;
    HostId host;
    std::string name;
    std::string flavour;
    NodeState state = NodeState::creating;
    Role role = Role::none;
    std::uint32_t slots = 0;
    std::uint32_t vcpus = 0;       ///< what it takes from its host
    std::uint32_t memory_mib = 0;
    Endpoint door;
    bool draining = false;
    Proof proof = Proof::none;
    std::string proof_text;
    std::int64_t proof_wall_ms = 0;
    std::string reason;  ///< of the last decision about it
    bool adopted = false;  ///< found running after the records were lost; its agent has not said yet what it holds
    std::uint64_t disk_mib = 0;
    Tier tier = Tier::running;  ///< what it was made as
    std::string receipt;        ///< of its last scrub; void as soon as it is used again
    std::vector<std::string> environments;  ///< digests of bundles deployed since it was made or scrubbed
    UNDERSTUDY_FIELDS(NodeRecord, id, kind, host, name, flavour, state, role, slots, vcpus, memory_mib, door,
                      draining, proof, proof_text, proof_wall_ms, reason, disk_mib, tier, receipt, environments,
                      adopted)
};

enum class TerminalState : std::uint8_t {
    defined = 0,    ///< known, nothing runs for it
    attached = 1,   ///< somebody sits there
    detached = 2,   ///< nobody does; everything is kept until the profile's time limit
};

struct TerminalRecord {
    TerminalId id;
    std::string name;
    std::string profile;
    TerminalState state = TerminalState::defined;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    Epoch epoch = 0;      ///< of the presentation
    NodeId presentation;  ///< primary; none while there is none
    std::vector<NodeId> backups;
    std::vector<SessionId> sessions;
    std::vector<WindowPlace> layout;
    std::int64_t detached_wall_ms = 0;
    Epoch epoch_floor = 0;  ///< after lost records: epochs below may have been given out; the next one is not lower
    UNDERSTUDY_FIELDS(TerminalRecord, id, name, profile, state, width, height, epoch, presentation, backups,
                      sessions, layout, detached_wall_ms, epoch_floor)
};

struct SessionRecord {
    SessionId id;
    TerminalId terminal;
    Application application;
    Protection protection = Protection::checkpoint;
    Epoch epoch = 0;
    NodeId primary;        ///< none only before the first placement and after a proven loss without a place
    std::vector<NodeId> backups;
    CheckpointId restore;  ///< from which this epoch starts; {0,0}: afresh
    bool handing_over = false;  ///< the primary was told to stop after a last checkpoint
    std::string lost;      ///< what the last take-over lost, for people
    Epoch fresh_since = 0;  ///< checkpoints of older epochs are void: it was closed, or kept failing with them
    Epoch epoch_floor = 0;  ///< as in TerminalRecord
    UNDERSTUDY_FIELDS(SessionRecord, id, terminal, application, protection, epoch, primary, backups, restore,
                      handing_over, lost, fresh_since, epoch_floor)
};

/// When something happened, in microseconds since the incident's first phase.
struct PhaseMark {
    std::string name;
    std::int64_t at_us = 0;
    UNDERSTUDY_FIELDS(PhaseMark, name, at_us)
};

/// The flight recorder: one failure (or planned move) and what was done about it.
struct IncidentRecord {
    IncidentId id;
    std::string kind;  ///< "execution", "presentation", or "store"
    NodeId node;
    SessionId session;
    TerminalId terminal;
    std::string title;
    bool open = true;
    std::int64_t opened_wall_ms = 0;
    std::vector<PhaseMark> phases;
    std::string evidence;
    std::string proof;
    std::string decision;
    std::vector<std::string> alternatives;
    std::string lost;
    UNDERSTUDY_FIELDS(IncidentRecord, id, kind, node, session, terminal, title, open, opened_wall_ms, phases,
                      evidence, proof, decision, alternatives, lost)
};

}  // namespace understudy::manager
