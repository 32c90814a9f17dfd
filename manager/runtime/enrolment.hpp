// Whose key is whose, where nodes name their keys themselves: an instance is given a one-time key by its hypervisor, a
// machine enrolled by hand one by a person, and with it says which key it has made for itself. Any agent replaces its key
// in the same way later. Owned by the loop's thread.
//
// A given key is used once: what it named first stays, and it is void with the first word under that. Until then it may
// be said again, because an answer can be lost; somebody else who comes with it is refused and reported.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/key_keeper_port.hpp"
#include "manager/runtime/log_port.hpp"
#include "manager/runtime/peers_port.hpp"
#include "protocol/time.hpp"

namespace understudy::manager {

/// A key that somebody gave to a node.
struct GivenKey {
    std::string key;                ///< Z85
    bool one_time = false;          ///< may only name another
    TimePoint until = kNever;       ///< of a one-time key: the last moment
};

class Enrolment {
  public:
    /// `kept`: what earlier managers kept. Both outlive this.
    Enrolment(PeersPort& peers, KeyKeeperPort& keeper, LogSink log, const std::vector<NodeKeys>& kept = {});

    /// From now on this key speaks for the node, or those that descend from it, and no other does.
    void give(NodeId node, const std::string& name, const GivenKey& given);
    /// No key speaks for the node any more. `forget`: what descended from its given key is forgotten too.
    void revoke(NodeId node, bool forget);
    [[nodiscard]] bool knows(NodeId node) const { return nodes_.contains(node); }

    /// A key was named. It is admitted, and the answer sent, when it is kept.
    void offered(const KeyOffered& offer, TimePoint now);
    void kept(const KeysKept& kept);
    /// A named key has spoken, and the one before it is void.
    void taken(const KeyTaken& taken);

  private:
    struct Node {
        std::string name;
        GivenKey given;
        NodeKeys keys;
        std::vector<KeyOffered> waiting;  ///< for an answer, until it is kept
    };

    void admit(const Node& node) const;
    [[nodiscard]] std::string refusal_of(const Node& node, const KeyOffered& offer, TimePoint now) const;
    void answer(const KeyOffered& offer, std::uint32_t code, const std::string& text) const;

    PeersPort& peers_;
    KeyKeeperPort& keeper_;
    LogSink log_;
    std::map<NodeId, NodeKeys> kept_;  ///< by earlier managers, of nodes that were not given a key yet
    std::map<NodeId, Node> nodes_;
};

}  // namespace understudy::manager
