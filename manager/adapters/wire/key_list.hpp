// Which keys are admitted, and the answers to libzmq's question about each (ZAP, ZeroMQ RFC 27). Owned by
// the loop's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include <zmq.hpp>

#include "manager/runtime/peers_port.hpp"

namespace understudy::manager {

inline constexpr const char* kZapDomain = "understudy";

/// Finds by text without making a string.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

class KeyList {
  public:
    void admit(const std::string& key, const PeerIdentity& identity) { identities_.insert_or_assign(key, identity); }
    void revoke(const std::string& key) { identities_.erase(key); }

    /// A connection under `key` said its first word.
    void spoke(const std::string& key);

    /// Whether some connection may stand under `key` that has said nothing yet, since this was asked last.
    [[nodiscard]] bool take_silent(const std::string& key) { return silent_.erase(key) > 0; }

    /// Who stands behind a key; nullptr: nobody.
    [[nodiscard]] const PeerIdentity* find(std::string_view key) const {
        const auto found = identities_.find(key);
        return found == identities_.end() ? nullptr : &found->second;
    }

    /// Answers every question that waits at the handler's socket. `room` false: nobody is admitted. The
    /// key becomes the connection's "User-Id". Returns how many were denied.
    std::uint64_t answer(zmq::socket_t& handler, bool room);

  private:
    std::unordered_map<std::string, PeerIdentity, TextHash, std::equal_to<>> identities_;
    std::unordered_map<std::string, std::uint64_t> silent_;  ///< admitted connections that have not spoken, by key
};

}  // namespace understudy::manager
