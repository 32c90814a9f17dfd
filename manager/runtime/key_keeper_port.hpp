// What the loop asks of the place where the keys that nodes named for themselves outlive this manager. Apart from the
// records: whoever lost those still knows who is who. Called by the loop's thread.
#pragma once

#include <string>

#include "protocol/ids.hpp"

namespace understudy::manager {

/// Public halves, Z85.
struct NodeKeys {
    NodeId node;
    std::string given;  ///< the first one: a one-time key, or the one that the configuration lists
    std::string key;    ///< speaks for the node; at first `given`
    std::string next;   ///< was named by `key`, and replaces it with its first word; empty: none
    bool operator==(const NodeKeys&) const = default;
};

class KeyKeeperPort {
  public:
    virtual ~KeyKeeperPort() = default;

    /// Replaces what was kept of this node. Answered by KeysKept.
    virtual void keep(const NodeKeys& keys) = 0;
    /// Nothing is kept of it any more. No answer: what is left over belongs to a given key that there is no more.
    virtual void forget(NodeId node) = 0;
};

}  // namespace understudy::manager
