// Clipboard text as RFB carries it: the old form (Latin-1) and the "Extended Clipboard" form (UTF-8,
// compressed, asked for when needed), which libvncclient 0.9.14 doesn't know and answers by hanging up.
// Only text is taken and offered. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::viewer {

/// Number of the pseudo-encoding with which a client says that it knows the extended form.
inline constexpr std::int32_t kExtendedClipboardEncoding = static_cast<std::int32_t>(0xC0A1E5CEU);

/// A text bigger than this is not carried, in either direction; bytes of UTF-8.
inline constexpr std::size_t kMaxClipboardBytes = 1U << 20U;

/// Bits of the first word of an extended message.
namespace clipboard_flag {
inline constexpr std::uint32_t kText = 1U << 0U;
inline constexpr std::uint32_t kCaps = 1U << 24U;
inline constexpr std::uint32_t kRequest = 1U << 25U;
inline constexpr std::uint32_t kPeek = 1U << 26U;
inline constexpr std::uint32_t kNotify = 1U << 27U;
inline constexpr std::uint32_t kProvide = 1U << 28U;
}  // namespace clipboard_flag

/// One extended message as received: `text` is filled in by `provide` alone.
struct ClipboardMessage {
    std::uint32_t flags = 0;
    std::string text;  ///< UTF-8, lines end with \n
};

/// Understands the body of an extended message (what follows its length).
/// Errors: `damaged` when it is too short or doesn't unpack, `limit` when the text is too big.
[[nodiscard]] Result<ClipboardMessage> parse_clipboard_message(std::span<const std::uint8_t> body);

/// Complete ClientCutText messages, ready to be written.
[[nodiscard]] std::vector<std::uint8_t> clipboard_caps_message();
[[nodiscard]] std::vector<std::uint8_t> clipboard_request_message();
[[nodiscard]] std::vector<std::uint8_t> clipboard_notify_message();
[[nodiscard]] std::vector<std::uint8_t> clipboard_provide_message(std::string_view utf8);
/// The old form; characters outside Latin-1 become '?'.
[[nodiscard]] std::vector<std::uint8_t> plain_cut_text_message(std::string_view utf8);

/// Latin-1 bytes as UTF-8.
[[nodiscard]] std::string utf8_from_latin1(std::string_view latin1);
/// UTF-8 as Latin-1; what doesn't fit (or isn't UTF-8) becomes '?'.
[[nodiscard]] std::string latin1_from_utf8(std::string_view utf8);

}  // namespace understudy::viewer
