// Frames of a checkpoint stream, both directions: one byte of kind, four of length (big endian), content.
// After the door's "OK": the backup says what it has (`have`) and grants `credit`; the primary sends
// `begin` (the meta), then the files' bytes in order as `data`, never more than was granted; the backup
// answers each checkpoint with a `verdict`. Blocking, with a time limit; each side runs on its own thread.
#pragma once

#include <cstdint>
#include <functional>

#include "protocol/codec.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

enum class FrameKind : std::uint8_t { have = 'H', credit = 'C', begin = 'B', data = 'D', verdict = 'V' };

struct Frame {
    FrameKind kind = FrameKind::data;
    Bytes content;
};

inline constexpr std::size_t kFrameBytes = 1024 * 1024;      ///< longest content
inline constexpr std::size_t kDataBytes = 128 * 1024;        ///< what one `data` frame carries
inline constexpr std::uint32_t kCreditBytes = 2 * 1024 * 1024;  ///< what may be on its way, unwritten

class FrameStream {
  public:
    /// `socket` stays the caller's; shutting it down from another thread ends every call here.
    explicit FrameStream(int socket) : socket_(socket) {}

    /// Errors: `unavailable` (connection ended or stood still for `patience_ms`).
    [[nodiscard]] Result<> send(FrameKind kind, BytesView content);
    /// Errors: `unavailable`, `limit`, `invalid`.
    [[nodiscard]] Result<Frame> receive(int patience_ms);

  private:
    int socket_;
};

[[nodiscard]] Bytes encode_credit(std::uint32_t bytes);
[[nodiscard]] std::uint32_t decode_credit(BytesView content);

}  // namespace understudy::node
