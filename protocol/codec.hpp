// The wire form: a fixed 24-byte header and one msgpack map.
//
//   offset  size  meaning
//   0       2     magic "US"
//   2       2     protocol version, big endian
//   4       2     message type, big endian
//   6       2     reserved, zero
//   8       8     sender's incarnation, big endian
//   16      8     sender's sequence number, big endian
//   24      …     msgpack map of the message's fields
//
// Decoding stands anything: bounds come first, unknown keys are ignored, unknown versions and types are
// refused with a clear error, nothing throws. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy {

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kHeaderBytes = 24;

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

/// A message with what its header says.
struct Envelope {
    std::uint64_t incarnation = 0;
    std::uint64_t sequence = 0;
    Message message;
    bool operator==(const Envelope&) const = default;
};

/// Precondition: lists and texts are inside limits.hpp (asserted). Never fails.
[[nodiscard]] Bytes encode(const Envelope& envelope, std::uint16_t version = kProtocolVersion);

/// Errors: `version` (names both versions), `invalid` (not a message, unknown type, wrong field type),
/// `limit` (too large, too deep, too many).
[[nodiscard]] Result<Envelope> decode(BytesView bytes);

}  // namespace understudy
