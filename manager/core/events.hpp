// Everything the deciding core can be told. Adapters turn what they see into one of these; nothing else
// reaches the core. Plain values.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "manager/core/records.hpp"
#include "protocol/result.hpp"
#include "protocol/time.hpp"

namespace understudy::manager {

/// When an event is handled: `at` on the manager's monotonic clock decides, `wall_ms` is for people and
/// for what must be comparable after a restart.
struct Moment {
    TimePoint at;
    std::int64_t wall_ms = 0;
};

/// A message from an authenticated agent; `from` is the key's node, not what the message claims.
struct NodeSaid {
    NodeId from;
    Message message;
};

/// The transport lost the agent's connection. Evidence, never proof.
struct NodeDisconnected {
    NodeId node;
};

/// A message from an authenticated terminal or operator connection.
struct ClientSaid {
    ClientId from;
    Message message;  ///< TerminalAttach, TerminalDetach or TerminalSeen
};

struct ClientGone {
    ClientId client;
};

/// The hypervisor's process of an instance ended, or the hypervisor said so: proof.
struct InstanceEnded {
    NodeId instance;
    std::string cause;  ///< in the words of the system that saw it
    TimePoint seen;     ///< when the adapter saw it (not later than the moment of handling)
    bool by_itself = false;  ///< it was not killed: its system gave up, or was switched off from inside
};

/// What a hypervisor's operation brought.
struct Done {
    Endpoint door;        ///< create, resume, scrub: where the manager's peers reach it
    std::string receipt;  ///< scrub: what was verified, such as the digest of the base image; empty: nothing was
    bool operator==(const Done&) const = default;
};

/// The answer to a CreateInstance, ResumeInstance, ScrubInstance, DeployEnvironment, DestroyInstance or
/// FenceHost with that operation. `unknown_outcome` means what it says.
struct OperationDone {
    OperationId operation;
    Result<Done> outcome;
};

/// One instance as a hypervisor lists it. Only instances that carry this manager's mark are listed.
struct ListedInstance {
    NodeId id;
    bool running = false;
    Endpoint door;
    /// What it is made of, for a manager that has no record of it; vcpus 0: not known.
    std::string image;
    std::uint32_t vcpus = 0;
    std::uint32_t memory_mib = 0;
    std::uint32_t slots = 0;
    std::uint64_t disk_mib = 0;
};

/// The answer to ListInstances.
struct HostListed {
    HostId host;
    Result<std::vector<ListedInstance>> instances;
};

/// The store does not commit at present (or does again). New promises wait meanwhile.
struct StoreState {
    bool failing = false;
    std::string reason;
};

/// What guest images there are, by name: what a pool may ask for.
struct ImagesKnown {
    std::vector<std::string> images;
};

/// An Echo left: everything decided up to it is durable.
struct Echoed {
    IncidentId incident;
};

/// The time asked for by Step::wake_at has come. Harmless at any other time.
struct Woken {};

// ---- what administrators and the configuration want; each is answered by AdminReply to `client`

struct DefineHost { HostRecord host; };          ///< by name; id is ignored
struct RemoveHost { std::string name; };         ///< refused while anything is there
struct DefinePool { PoolRecord pool; };
struct RemovePool { std::string flavour; };      ///< its machines go when they are free
struct DefineEnvironment { EnvironmentRecord environment; };
struct DefineProfile { ProfileRecord profile; };
struct DefineTerminal { std::string name; std::string profile; };
struct RemoveTerminal { std::string name; };
struct EnrolNode { std::string name; std::string host; std::uint32_t slots = 4; Endpoint door; };
struct ReleaseTerminal { std::string name; };    ///< end its sessions, return its nodes
struct FailOverSession { SessionId session; };   ///< planned: last checkpoint, then move
struct FailOverPresentation { std::string terminal; };
struct KillInstance { NodeId node; };            ///< destroy it as a failure would
struct SetDrain { NodeId node; bool drain = true; };
struct SetMaintenance { std::string host; bool maintenance = true; };
struct FenceByHand { std::string host; };        ///< switch it off now, whoever is alive on it
struct OverrideGate {};
struct NotifyTerminal { std::string terminal; std::string text; };  ///< "all": everybody who is attached

using Wish = std::variant<DefineHost, RemoveHost, DefinePool, RemovePool, DefineEnvironment, DefineProfile,
                          DefineTerminal, RemoveTerminal, EnrolNode, ReleaseTerminal, FailOverSession,
                          FailOverPresentation, KillInstance, SetDrain, SetMaintenance, FenceByHand, OverrideGate,
                          NotifyTerminal>;

/// An administrator's recorded will. `client` none: from the configuration; no reply is sent.
struct Intent {
    ClientId client;
    std::uint64_t request = 0;
    std::string reason;
    Wish wish;
};

using Event = std::variant<NodeSaid, NodeDisconnected, ClientSaid, ClientGone, InstanceEnded, OperationDone,
                           HostListed, StoreState, ImagesKnown, Echoed, Woken, Intent>;

}  // namespace understudy::manager
