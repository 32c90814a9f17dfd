// Whom the configuration admits: its [[peer]] tables, at the start and each time the file is read again. Owned by
// the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manager/core/events.hpp"
#include "manager/core/state.hpp"
#include "manager/runtime/peers_port.hpp"

namespace understudy::manager {

/// One [[peer]].
struct ConfiguredPeer {
    std::vector<std::string> keys;  ///< Z85; several while a key is being replaced
    PeerIdentity identity;          ///< an agent's node is not known yet
    std::optional<EnrolNode> machine;  ///< of an agent: the machine it runs on
    std::string one_time_key = {};     ///< of an agent: names the key of its own making; empty: `keys` has it
    std::int64_t until_wall_ms = 0;    ///< of the one-time key: its last moment
};

class ConfiguredPeers {
  public:
    explicit ConfiguredPeers(PeersPort& peers) : peers_(peers) {}

    /// Names, one for each key.
    struct Change {
        std::vector<std::string> admitted;  ///< keys that were not there before
        std::vector<std::string> changed;   ///< keys that stand for somebody, or something, else
        std::vector<std::string> revoked;   ///< keys that are not there any more
    };

    /// Only these from now on. An agent is bound to the enrolled node of its name in `state`.
    Change replace(const std::vector<ConfiguredPeer>& peers, const State& state);

  private:
    PeersPort& peers_;
    std::map<std::string, PeerIdentity> admitted_;  ///< by key
};

}  // namespace understudy::manager
