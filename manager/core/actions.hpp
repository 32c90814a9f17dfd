// Everything the deciding core can ask for. Carrying an action out needs no further choice. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "manager/core/records.hpp"
#include "protocol/codec.hpp"
#include "protocol/time.hpp"

namespace understudy::manager {

/// To an agent. Tickets inside are not sealed yet: whoever sends them seals them.
struct SendToNode {
    NodeId to;
    Message message;
    bool operator==(const SendToNode&) const = default;
};

/// To a terminal or an operator.
struct SendToClient {
    ClientId to;
    Message message;
    bool operator==(const SendToClient&) const = default;
};

/// Make sure that this instance exists, has a fresh identity, and runs. Idempotent by `instance`: asked
/// again after a lost answer it never makes a second one. With `tier` paused success means: it exists,
/// restored from a snapshot of a booted instance of the same flavour (made first where there is none yet),
/// and stands still.
struct CreateInstance {
    OperationId operation;
    HostId host;
    NodeId instance;
    std::string flavour;
    std::string image;
    std::uint32_t vcpus = 0;
    std::uint32_t memory_mib = 0;
    std::uint32_t slots = 0;
    std::uint64_t disk_mib = 0;  ///< 0: as large as the image
    Tier tier = Tier::running;
    bool operator==(const CreateInstance&) const = default;
};

/// Let a paused instance go on, with a fresh identity; its agent registers afterwards. Idempotent.
struct ResumeInstance {
    OperationId operation;
    HostId host;
    NodeId instance;
    bool operator==(const ResumeInstance&) const = default;
};

/// Stop it, discard everything it wrote, give it a new identity, start it. Success brings a receipt: what
/// was verified. Without one it must not be used again.
struct ScrubInstance {
    OperationId operation;
    HostId host;
    NodeId instance;
    bool operator==(const ScrubInstance&) const = default;
};

/// Make the content-addressed bundle of an environment available inside the running instance: as a disk
/// that cannot be written, not through the agent's connection. Idempotent.
struct DeployEnvironment {
    OperationId operation;
    HostId host;
    NodeId instance;
    std::string environment;  ///< its name
    std::string digest;       ///< of the bundle: "sha256:…"
    bool operator==(const DeployEnvironment&) const = default;
};

/// Make sure that it does not exist. Success means: confirmed gone. Idempotent.
struct DestroyInstance {
    OperationId operation;
    HostId host;
    NodeId instance;
    bool operator==(const DestroyInstance&) const = default;
};

/// Which instances with our mark exist there?
struct ListInstances {
    HostId host;
    bool operator==(const ListInstances&) const = default;
};

/// Switch the host off and confirm it. Success also when it was off already.
struct FenceHost {
    OperationId operation;
    HostId host;
    bool operator==(const FenceHost&) const = default;
};

/// For the log; carries no consequence.
struct Note {
    enum class Weight : std::uint8_t { detail, notice, alarm };
    Weight weight = Weight::notice;
    IncidentId incident;
    std::string text;
    bool operator==(const Note&) const = default;
};

/// Comes back to the core as an Echoed event the moment it leaves: so the core learns when the records
/// before it became durable.
struct Echo {
    IncidentId incident;
    bool operator==(const Echo&) const = default;
};

using Action = std::variant<SendToNode, SendToClient, CreateInstance, ResumeInstance, ScrubInstance, DeployEnvironment,
                            DestroyInstance, ListInstances, FenceHost, Note, Echo>;

/// One change of the durable state: put `value` under `key`, or erase the key when `value` is empty.
struct Write {
    std::string key;
    Bytes value;
    bool operator==(const Write&) const = default;
};

/// What follows from one event. The order is part of the contract:
///  - `writes` are one atomic batch, committed in the order of the steps;
///  - `now` may leave at once;
///  - `after_durable` leaves, in order, only when this step's writes *and those of every earlier step*
///    are durable (without any writes outstanding that is at once).
struct Step {
    std::vector<Write> writes;
    std::vector<Action> now;
    std::vector<Action> after_durable;
    TimePoint wake_at = kNever;  ///< the core wants a Woken event then; replaces every earlier wish
};

}  // namespace understudy::manager
