// What the loop asks of the network: authenticated peers, and what they say. Called by the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/time.hpp"

namespace understudy::manager {

/// What a key may do. An observer looks, an operator keeps things going, an administrator decides what the site
/// consists of; a gateway may do all of it, for people that it knows. A newcomer has a one-time key, and may name the
/// key of the agent that it will be.
enum class PeerRole : std::uint8_t { agent, terminal, operator_, gateway, observer, administrator, newcomer };

[[nodiscard]] constexpr const char* to_string(PeerRole role) {
    switch (role) {
        case PeerRole::agent: return "agent";
        case PeerRole::terminal: return "terminal";
        case PeerRole::operator_: return "operator";
        case PeerRole::gateway: return "gateway";
        case PeerRole::observer: return "observer";
        case PeerRole::administrator: return "administrator";
        case PeerRole::newcomer: return "newcomer";
    }
    return "?";
}

/// Who stands behind a key.
struct PeerIdentity {
    PeerRole role = PeerRole::terminal;
    std::string name;
    NodeId node;                         ///< of an agent, once known, and of a newcomer
    std::vector<std::string> terminals;  ///< of a terminal: those it may attach to; "*": any
    std::string follows = {};                 ///< of an agent: the key that is void with the first word under this one
    bool operator==(const PeerIdentity&) const = default;
};

struct NodeMessage { NodeId from; Message message; };
struct NodeLost { NodeId node; };
/// `under` is the key with which it was said. Answers go to `from`; an agent has none and is answered as the node.
struct KeyOffered { ClientId from; NodeId node; std::string under; std::string key; };
/// The first word came under a key that follows another: the other is revoked already.
struct KeyTaken { NodeId node; std::string key; };
struct ClientMessage { ClientId from; std::string name; PeerRole role; Message message; };
struct ClientLost { ClientId client; };
/// Something refused, for the log: said at most once per connection.
struct PeerOddity { std::string text; };

using PeerEvent = std::variant<NodeMessage, NodeLost, KeyOffered, KeyTaken, ClientMessage, ClientLost, PeerOddity>;

/// Counted since the start.
struct PeerFigures {
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t undecodable = 0;
    std::uint64_t out_of_role = 0;
    std::uint64_t denied = 0;       ///< connections without an admitted key
    std::uint64_t cut = 0;          ///< connections that were closed because their key was revoked or changed
    std::uint64_t cut_silent = 0;   ///< because too many had not said a word
    std::uint64_t cut_unread = 0;   ///< because they did not read what they were sent
    std::uint64_t doubled = 0;      ///< messages under the key of a node that speaks on another connection
    std::uint64_t unreachable = 0;  ///< messages to somebody who is not connected
    std::size_t connections = 0;
};

class PeersPort {
  public:
    virtual ~PeersPort() = default;

    /// Returns when a peer, or one of `others`, has something, or `limit` is over (negative: no limit).
    virtual void wait(std::chrono::milliseconds limit, std::span<const int> others) = 0;

    /// The next thing that happened; nothing when there is no more at this moment.
    [[nodiscard]] virtual std::optional<PeerEvent> take() = 0;

    virtual void send(NodeId to, const Message& message) = 0;
    virtual void send(ClientId to, const Message& message) = 0;

    /// `key` (Z85) speaks for `identity` from now on. Where it spoke for another, its connections are cut: what was
    /// begun under the old identity ends with it.
    virtual void admit(const std::string& key, const PeerIdentity& identity) = 0;
    /// Nobody is admitted under `key` from now on, and its connections are cut at once.
    virtual void revoke(const std::string& key) = 0;

    /// Goes into the header of everything sent.
    virtual void set_incarnation(std::uint64_t incarnation) = 0;

    [[nodiscard]] virtual const PeerFigures& figures() const = 0;
};

}  // namespace understudy::manager
