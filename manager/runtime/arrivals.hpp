// Everything a worker can bring to the loop, as plain values. Workers make them, the loop's thread reads
// them.
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "manager/core/events.hpp"
#include "manager/runtime/audit_port.hpp"
#include "manager/runtime/key_keeper_port.hpp"
#include "manager/runtime/ports.hpp"
#include "manager/runtime/unique_fd.hpp"
#include "protocol/ids.hpp"

namespace understudy::manager {

/// A store's head was read, or could not be.
struct HeadAnswer {
    Result<StoreHead> head;
};

/// From now on this key speaks for the node, and no other does. Sent before the instance can know it.
struct IdentityIssued {
    NodeId node;
    std::string public_key;  ///< Z85
    bool one_time = false;   ///< it may only name the key that the instance makes for itself
};

/// No key speaks for the node any more.
struct IdentityRevoked {
    NodeId node;
};

/// The keys of a node are where the next manager finds them, or could not be brought there.
struct KeysKept {
    NodeKeys keys;
    Result<> outcome;
};

/// A process carries this instance; its end is the instance's.
struct ProcessStarted {
    NodeId node;
    std::int64_t pid = 0;
    UniqueFd process;  ///< a pidfd
};

/// The instance is about to be stopped on purpose by an operation: the end of its process is no event.
/// Sent before the process is touched.
struct ProcessForgotten {
    NodeId node;
};

/// A hypervisor elsewhere said that an instance stopped.
struct InstanceStopped {
    NodeId node;
    std::string cause;
    bool by_itself = false;  ///< its system gave up, or was switched off from inside
};

/// What was found out about a host's acceleration.
struct AccelerationKnown {
    std::string host;
    std::string acceleration;  ///< "kvm" or "tcg"
    std::string reason;        ///< for people: how it is known
};

/// Whether somebody answers at the URI of a host that somebody wants to define.
struct HostProbed {
    std::uint64_t token = 0;
    Result<> answer;
};

/// A line for the log that concerns no decision.
struct Remark {
    bool alarm = false;
    std::string text;
};

using Arrival = std::variant<CommitAnswer, HeadAnswer, OperationDone, HostListed, IdentityIssued, IdentityRevoked, KeysKept,
                             ProcessStarted, ProcessForgotten, InstanceStopped, AccelerationKnown, HostProbed, AuditWritten, AuditRead, Remark>;

/// Takes an arrival; callable from any thread, never blocks for long.
using ArrivalSink = std::function<void(Arrival)>;

}  // namespace understudy::manager
