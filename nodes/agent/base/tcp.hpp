// Small things with TCP connections. Blocking where it says so; any thread.
#pragma once

#include <string>

#include "nodes/agent/base/descriptor.hpp"
#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// The manager speaks of doors on its own loopback; inside an instance those are reached by another
/// address (`alias`, empty: as they are).
[[nodiscard]] Endpoint as_seen_here(Endpoint endpoint, const std::string& alias);

/// Listens, with the address taken over from a predecessor at once. Errors: `failed`.
[[nodiscard]] Result<Descriptor> listen_on(const std::string& address, std::uint16_t port);

/// Port a listening socket got.
[[nodiscard]] std::uint16_t port_of(int socket);

/// Small messages leave at once; a peer that vanished without a word is noticed within seconds.
void tune_stream(int socket);

}  // namespace understudy::node
