// Which role may say what. Pure.
#pragma once

#include <string>

#include "manager/runtime/peers_port.hpp"

namespace understudy::manager {

/// Empty when `who` may say this to the manager, else why not, for people.
[[nodiscard]] std::string refusal_of(const PeerIdentity& who, const Message& message);

/// The answer to somebody whose message was refused or could not be read (then `message` is none).
[[nodiscard]] Message refusal_for(PeerRole role, std::uint32_t code, const std::string& why, const Message* message = nullptr);

}  // namespace understudy::manager
