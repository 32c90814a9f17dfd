// See configured_peers.hpp.
#include "manager/runtime/configured_peers.hpp"

#include <utility>

namespace understudy::manager {
namespace {

PeerIdentity bound(PeerIdentity identity, const State& state) {
    if (identity.role != PeerRole::agent) return identity;
    for (const auto& [id, node] : state.nodes.rows()) {
        if (node.kind == NodeKind::enrolled && node.name == identity.name) identity.node = id;
    }
    return identity;
}

}  // namespace

ConfiguredPeers::Change ConfiguredPeers::replace(const std::vector<ConfiguredPeer>& peers, const State& state) {
    std::map<std::string, PeerIdentity> wanted;
    for (const ConfiguredPeer& peer : peers) {
        for (const std::string& key : peer.keys) wanted.emplace(key, bound(peer.identity, state));
    }
    Change change;
    for (const auto& [key, identity] : admitted_) {
        if (wanted.contains(key)) continue;
        peers_.revoke(key);
        change.revoked.push_back(identity.name);
    }
    for (const auto& [key, identity] : wanted) {
        const auto before = admitted_.find(key);
        if (before != admitted_.end() && before->second == identity) continue;
        (before == admitted_.end() ? change.admitted : change.changed).push_back(identity.name);
        peers_.admit(key, identity);
    }
    admitted_ = std::move(wanted);
    return change;
}

}  // namespace understudy::manager
