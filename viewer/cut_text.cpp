// Writing and reading of clipboard messages. Pure; any thread.
#include "viewer/cut_text.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace understudy::viewer {
namespace {

constexpr std::uint8_t kClientCutText = 6;

void append_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
        out.push_back(static_cast<std::uint8_t>(value >> shift));
    }
}

std::uint32_t u32_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint32_t>(bytes[at]) << 24U | static_cast<std::uint32_t>(bytes[at + 1]) << 16U |
           static_cast<std::uint32_t>(bytes[at + 2]) << 8U | bytes[at + 3];
}

/// The extended form is told from the old one by a negative length.
std::vector<std::uint8_t> extended_message(std::uint32_t flags, std::span<const std::uint8_t> data) {
    std::vector<std::uint8_t> out{kClientCutText, 0, 0, 0};
    append_u32(out, 0U - static_cast<std::uint32_t>(4 + data.size()));
    append_u32(out, flags);
    out.insert(out.end(), data.begin(), data.end());
    return out;
}

std::string with_crlf(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 16);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out.push_back('\r');
        out.push_back(text[i]);
    }
    return out;
}

std::string with_lf(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        out.push_back(text[i]);
    }
    return out;
}

Result<std::string> inflate_bounded(std::span<const std::uint8_t> packed, std::size_t limit) {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) return failure(ErrorCode::failed, "zlib can't be initialised");
    // zlib's interface predates const.
    stream.next_in = const_cast<std::uint8_t*>(packed.data());
    stream.avail_in = static_cast<uInt>(packed.size());
    std::string out;
    std::array<char, 16384> chunk{};
    int status = Z_OK;
    while (status == Z_OK && out.size() <= limit) {
        stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
        stream.avail_out = static_cast<uInt>(chunk.size());
        status = inflate(&stream, Z_SYNC_FLUSH);
        const std::size_t got = chunk.size() - stream.avail_out;
        out.append(chunk.data(), got);
        if (got == 0) break;
    }
    inflateEnd(&stream);
    // Servers end the data with a flush instead of an end mark: running out of input is not an error.
    const bool fine = status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR;
    if (!fine) return failure(ErrorCode::damaged, "clipboard data does not unpack");
    if (out.size() > limit) return failure(ErrorCode::limit, "clipboard text is too big");
    return out;
}

}  // namespace

Result<ClipboardMessage> parse_clipboard_message(std::span<const std::uint8_t> body) {
    if (body.size() < 4) return failure(ErrorCode::damaged, "clipboard message is too short");
    ClipboardMessage message;
    message.flags = u32_at(body, 0);
    // A message of capabilities has all bits that apply, "provide" among them, and no text.
    const std::uint32_t kinds = clipboard_flag::kCaps | clipboard_flag::kProvide;
    const bool provides_text =
        (message.flags & kinds) == clipboard_flag::kProvide && (message.flags & clipboard_flag::kText) != 0;
    if (!provides_text) return message;
    // Doubled: every line end may have become two bytes. Other formats may follow the text; they are cut off.
    auto data = inflate_bounded(body.subspan(4), 2 * kMaxClipboardBytes + 5);
    if (!data) return tl::unexpected(data.error());
    const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(data->data()), data->size());
    if (bytes.size() < 4 || u32_at(bytes, 0) > bytes.size() - 4) {
        return failure(ErrorCode::damaged, "clipboard text is shorter than it says");
    }
    std::string text = with_lf(std::string_view(*data).substr(4, u32_at(bytes, 0)));
    if (text.ends_with('\0')) text.pop_back();
    if (text.size() > kMaxClipboardBytes) return failure(ErrorCode::limit, "clipboard text is too big");
    message.text = std::move(text);
    return message;
}

std::vector<std::uint8_t> clipboard_caps_message() {
    using namespace clipboard_flag;
    std::vector<std::uint8_t> sizes;
    append_u32(sizes, 0);  // no text unasked: it is requested after a notify
    return extended_message(kCaps | kText | kRequest | kPeek | kNotify | kProvide, sizes);
}

std::vector<std::uint8_t> clipboard_request_message() {
    return extended_message(clipboard_flag::kRequest | clipboard_flag::kText, {});
}

std::vector<std::uint8_t> clipboard_notify_message() {
    return extended_message(clipboard_flag::kNotify | clipboard_flag::kText, {});
}

std::vector<std::uint8_t> clipboard_provide_message(std::string_view utf8) {
    const std::string text = with_crlf(utf8.substr(0, kMaxClipboardBytes)) + '\0';
    std::vector<std::uint8_t> plain;
    append_u32(plain, static_cast<std::uint32_t>(text.size()));
    plain.insert(plain.end(), text.begin(), text.end());
    std::vector<std::uint8_t> packed(compressBound(static_cast<uLong>(plain.size())));
    uLongf packed_size = static_cast<uLongf>(packed.size());
    const int status =
        compress2(packed.data(), &packed_size, plain.data(), static_cast<uLong>(plain.size()), Z_BEST_SPEED);
    if (status != Z_OK) packed_size = 0;  // out of memory: an empty answer is still an answer
    packed.resize(packed_size);
    return extended_message(clipboard_flag::kProvide | clipboard_flag::kText, packed);
}

std::vector<std::uint8_t> plain_cut_text_message(std::string_view utf8) {
    const std::string text = latin1_from_utf8(utf8.substr(0, kMaxClipboardBytes));
    std::vector<std::uint8_t> out{kClientCutText, 0, 0, 0};
    append_u32(out, static_cast<std::uint32_t>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
    return out;
}

std::string utf8_from_latin1(std::string_view latin1) {
    std::string out;
    for (const char c : latin1) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            out.push_back(c);
        } else {
            out.push_back(static_cast<char>(0xC0U | byte >> 6U));
            out.push_back(static_cast<char>(0x80U | (byte & 0x3FU)));
        }
    }
    return out;
}

std::string latin1_from_utf8(std::string_view utf8) {
    std::string out;
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        const auto byte = static_cast<unsigned char>(utf8[i]);
        if (byte < 0x80) {
            out.push_back(utf8[i]);
            continue;
        }
        const bool has_next = i + 1 < utf8.size();
        const auto next = has_next ? static_cast<unsigned char>(utf8[i + 1]) : 0U;
        if ((byte == 0xC2 || byte == 0xC3) && (next & 0xC0U) == 0x80U) {
            out.push_back(static_cast<char>((byte & 0x03U) << 6U | (next & 0x3FU)));
            ++i;
            continue;
        }
        out.push_back('?');
        while (i + 1 < utf8.size() && (static_cast<unsigned char>(utf8[i + 1]) & 0xC0U) == 0x80U) ++i;
    }
    return out;
}

}  // namespace understudy::viewer
