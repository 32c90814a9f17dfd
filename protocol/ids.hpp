// Strong identifiers. A NodeId can never be passed where a SessionId is meant.
// Plain values; no thread owns them.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace understudy {

/// A number that names one thing of one kind for ever; 0 means "none".
template <class Tag>
struct Id {
    std::uint64_t value = 0;

    constexpr Id() = default;
    constexpr explicit Id(std::uint64_t number) : value(number) {}

    /// True when the id names something.
    [[nodiscard]] constexpr explicit operator bool() const { return value != 0; }
    auto operator<=>(const Id&) const = default;
};

using HostId = Id<struct HostTag>;          ///< a physical computer with a hypervisor
using NodeId = Id<struct NodeTag>;          ///< an agent; an instance and the node in it share the number
using TerminalId = Id<struct TerminalTag>;  ///< a thin client
using SessionId = Id<struct SessionTag>;    ///< one application of one terminal
using ClientId = Id<struct ClientTag>;      ///< one connected terminal program or console
using OperationId = Id<struct OperationTag>;  ///< one request to a hypervisor or a fence agent
using IncidentId = Id<struct IncidentTag>;    ///< one failure and everything done about it

/// Rises with every change of a primary; see PROTOCOL.md, "Epochs".
using Epoch = std::uint64_t;

/// Orders what is said about one assignment: (epoch, revision), compared lexicographically.
struct Version {
    Epoch epoch = 0;
    std::uint64_t revision = 0;
    auto operator<=>(const Version&) const = default;
};

/// "node 17", for messages to people.
template <class Tag>
[[nodiscard]] std::string to_string(Id<Tag> id) {
    return std::to_string(id.value);
}

}  // namespace understudy

template <class Tag>
struct std::hash<understudy::Id<Tag>> {
    std::size_t operator()(understudy::Id<Tag> id) const noexcept {
        return std::hash<std::uint64_t>{}(id.value);
    }
};
