// See rfb_client.hpp.
#include "client/rfb/rfb_client.hpp"

#include <array>
#include <cassert>
#include <utility>

namespace understudy::client {
namespace {

constexpr std::size_t kRectangleHeader = 12;
constexpr int kLargestSide = 16384;
constexpr std::uint64_t kLongestText = 1u << 20;
constexpr std::uint64_t kLargestRectangle = 256u << 20;

constexpr std::int32_t kRaw = 0;
constexpr std::int32_t kCopy = 1;
constexpr std::int32_t kZrle = 16;
constexpr std::int32_t kDesktopSize = -223;
constexpr std::int32_t kLastRectangle = -224;
constexpr std::int32_t kPointer = -239;  // asked for so that it is not drawn into the picture
constexpr std::int32_t kDesktopLayout = -308;

/// 32 bits, depth 24, little endian, true colour, red at 16, green at 8, blue at 0.
constexpr std::array<std::uint8_t, 16> kPixelFormat = {32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0};

}  // namespace

RfbClient::RfbClient(std::size_t most_pixels) : most_pixels_(most_pixels) {}

std::uint64_t RfbClient::number(std::size_t offset, std::size_t octets) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < octets; ++i) value = value << 8 | input_[at_ + offset + i];
    return value;
}

void RfbClient::put(std::uint64_t value, std::size_t octets) {
    for (std::size_t i = octets; i > 0; --i) output_.push_back(static_cast<std::uint8_t>(value >> (i - 1) * 8));
}

Bytes RfbClient::take_output() { return std::exchange(output_, {}); }
std::vector<RfbClient::Update> RfbClient::take_updates() { return std::exchange(updates_, {}); }
std::string RfbClient::take_clipboard() { return std::exchange(clipboard_, {}); }

Result<> RfbClient::feed(BytesView bytes) {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    while (true) {
        const auto more = step();
        if (!more) return tl::unexpected(more.error());
        if (!*more) break;
    }
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ = 0;
    return {};
}

Result<bool> RfbClient::step() {
    switch (stage_) {
        case Stage::version: return take_version();
        case Stage::security: return take_security();
        case Stage::security_result: return take_security_result();
        case Stage::security_reason: return take_reason();
        case Stage::init:
        case Stage::init_name: return take_init();
        case Stage::message: return take_message();
        case Stage::rectangle: return take_rectangle();
    }
    return false;
}

Result<bool> RfbClient::take_version() {
    if (!has(12)) return false;
    const BytesView said = look(12);
    const std::string text(said.begin(), said.end());
    if (!text.starts_with("RFB 003.") || text < "RFB 003.008") {
        return failure(ErrorCode::version, "the server does not speak RFB 3.8");
    }
    at_ += 12;
    for (const char c : std::string("RFB 003.008\n")) output_.push_back(static_cast<std::uint8_t>(c));
    stage_ = Stage::security;
    return true;
}

Result<bool> RfbClient::take_security() {
    if (!has(1)) return false;
    const std::size_t count = input_[at_];
    if (!has(1 + count)) return false;
    at_ += 1;
    if (count == 0) {
        stage_ = Stage::security_reason;
        return true;
    }
    const BytesView kinds = look(count);
    const bool open = std::find(kinds.begin(), kinds.end(), 1) != kinds.end();
    if (!open) return failure(ErrorCode::refused, "the server wants a password, which a desktop behind a ticket must not");
    at_ += count;
    put(1, 1);
    stage_ = Stage::security_result;
    return true;
}

Result<bool> RfbClient::take_security_result() {
    if (!has(4)) return false;
    const bool fine = number(0, 4) == 0;
    at_ += 4;
    if (fine) put(1, 1);  // shared
    stage_ = fine ? Stage::init : Stage::security_reason;
    return true;
}

Result<bool> RfbClient::take_reason() {
    if (!has(4)) return false;
    const std::uint64_t length = number(0, 4);
    if (length > kLongestText) return failure(ErrorCode::limit, "the server refuses, with too long a reason");
    if (!has(4 + length)) return false;
    at_ += 4;
    const BytesView reason = look(length);
    return failure(ErrorCode::refused, "the server refuses: " + std::string(reason.begin(), reason.end()));
}

Result<bool> RfbClient::take_init() {
    if (!has(24)) return false;
    const std::uint64_t length = number(20, 4);
    if (length > kLongestText) return failure(ErrorCode::limit, "the desktop's name is too long");
    if (!has(24 + length)) return false;
    const auto sized = resize(static_cast<int>(number(0, 2)), static_cast<int>(number(2, 2)));
    if (!sized) return tl::unexpected(sized.error());
    resized_ = false;
    at_ += 24;
    const BytesView name = look(length);
    name_.assign(name.begin(), name.end());
    at_ += length;
    put(0, 4);
    output_.insert(output_.end(), kPixelFormat.begin(), kPixelFormat.end());
    const std::int32_t encodings[] = {kZrle, kCopy, kRaw, kDesktopLayout, kDesktopSize, kLastRectangle, kPointer};
    put(2, 1);
    put(0, 1);
    put(std::size(encodings), 2);
    for (const std::int32_t encoding : encodings) put(static_cast<std::uint32_t>(encoding), 4);
    request(false);
    stage_ = Stage::message;
    return true;
}

void RfbClient::request(bool incremental) {
    put(3, 1);
    put(incremental ? 1 : 0, 1);
    put(0, 4);
    put(static_cast<std::uint64_t>(picture_.width), 2);
    put(static_cast<std::uint64_t>(picture_.height), 2);
}

Result<bool> RfbClient::take_message() {
    if (!has(1)) return false;
    switch (input_[at_]) {
        case 0:  // FramebufferUpdate
            if (!has(4)) return false;
            rectangles_ = static_cast<unsigned>(number(2, 2));
            at_ += 4;
            bounds_ = {};
            stage_ = Stage::rectangle;
            if (rectangles_ == 0) update_done();
            return true;
        case 1: {  // SetColourMapEntries: of no meaning with true colour
            if (!has(6)) return false;
            const std::size_t length = 6 + number(4, 2) * 6;
            if (!has(length)) return false;
            at_ += length;
            return true;
        }
        case 2:  // Bell
            at_ += 1;
            return true;
        case 3: return take_cut_text();
        default: return failure(ErrorCode::damaged, "the server sent a message of unknown type " + std::to_string(input_[at_]));
    }
}

Result<bool> RfbClient::take_cut_text() {
    if (!has(8)) return false;
    const std::uint64_t length = number(4, 4);
    if (length > kLongestText) return failure(ErrorCode::limit, "the server's clipboard is too large");
    if (!has(8 + length)) return false;
    at_ += 8;
    const BytesView text = look(length);
    clipboard_.assign(text.begin(), text.end());
    at_ += length;
    return true;
}

Result<> RfbClient::resize(int width, int height) {
    const auto count = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    if (width <= 0 || height <= 0 || width > kLargestSide || height > kLargestSide || count > most_pixels_) {
        return failure(ErrorCode::limit, "the desktop has an impossible size: " + std::to_string(width) + "x" + std::to_string(height));
    }
    resized_ = width != picture_.width || height != picture_.height;
    if (!resized_) return {};
    picture_ = {width, height, std::vector<std::uint32_t>(count, 0)};
    if (!complete_) {
        drawn_.assign(count, false);
        undrawn_ = count;
    }
    return {};
}

Result<bool> RfbClient::take_rectangle() {
    if (!has(kRectangleHeader)) return false;
    const Area area{static_cast<int>(number(0, 2)), static_cast<int>(number(2, 2)), static_cast<int>(number(4, 2)),
                    static_cast<int>(number(6, 2))};
    const auto encoding = static_cast<std::int32_t>(static_cast<std::uint32_t>(number(8, 4)));
    switch (encoding) {
        case kLastRectangle:
            at_ += kRectangleHeader;
            update_done();
            return true;
        case kDesktopSize: {
            const auto sized = resize(area.width, area.height);
            if (!sized) return tl::unexpected(sized.error());
            at_ += kRectangleHeader;
            rectangle_done({});
            return true;
        }
        case kDesktopLayout: return take_layout(area);
        case kPointer: return skip_pointer(area);
        default: break;
    }
    if (area.x + area.width > picture_.width || area.y + area.height > picture_.height) {
        return failure(ErrorCode::damaged, "the server draws outside its picture");
    }
    switch (encoding) {
        case kRaw: return draw_raw(area);
        case kCopy: return draw_copy(area);
        case kZrle: return draw_zrle(area);
        default: return failure(ErrorCode::damaged, "the server uses an encoding nobody asked for: " + std::to_string(encoding));
    }
}

Result<bool> RfbClient::draw_raw(const Area& area) {
    const std::size_t length = static_cast<std::size_t>(area.width) * static_cast<std::size_t>(area.height) * 4;
    if (!has(kRectangleHeader + length)) return false;
    const std::uint8_t* from = input_.data() + at_ + kRectangleHeader;
    for (int y = area.y; y < area.y + area.height; ++y) {
        for (int x = area.x; x < area.x + area.width; ++x, from += 4) {
            picture_.set(x, y, static_cast<std::uint32_t>(from[0]) | static_cast<std::uint32_t>(from[1]) << 8 |
                                   static_cast<std::uint32_t>(from[2]) << 16);
        }
    }
    at_ += kRectangleHeader + length;
    rectangle_done(area);
    return true;
}

Result<bool> RfbClient::draw_copy(const Area& area) {
    if (!has(kRectangleHeader + 4)) return false;
    const Area from{static_cast<int>(number(12, 2)), static_cast<int>(number(14, 2)), area.width, area.height};
    if (from.x + from.width > picture_.width || from.y + from.height > picture_.height) {
        return failure(ErrorCode::damaged, "the server copies from outside its picture");
    }
    std::vector<std::uint32_t> pixels;  // the two may overlap
    pixels.reserve(static_cast<std::size_t>(area.width) * static_cast<std::size_t>(area.height));
    for (int y = 0; y < area.height; ++y) {
        for (int x = 0; x < area.width; ++x) pixels.push_back(picture_.at(from.x + x, from.y + y));
    }
    auto pixel = pixels.begin();
    for (int y = 0; y < area.height; ++y) {
        for (int x = 0; x < area.width; ++x) picture_.set(area.x + x, area.y + y, *pixel++);
    }
    at_ += kRectangleHeader + 4;
    rectangle_done(area);
    return true;
}

Result<bool> RfbClient::draw_zrle(const Area& area) {
    if (!has(kRectangleHeader + 4)) return false;
    const std::uint64_t length = number(kRectangleHeader, 4);
    if (length > kLargestRectangle) return failure(ErrorCode::limit, "a rectangle of the server is too large");
    if (!has(kRectangleHeader + 4 + length)) return false;
    at_ += kRectangleHeader + 4;
    const auto drawn = zrle_.decode(look(length), area, picture_);
    if (!drawn) return tl::unexpected(drawn.error());
    at_ += length;
    rectangle_done(area);
    return true;
}

Result<bool> RfbClient::take_layout(const Area& area) {
    if (!has(kRectangleHeader + 4)) return false;
    const std::size_t length = kRectangleHeader + 4 + std::size_t{input_[at_ + kRectangleHeader]} * 16;
    if (!has(length)) return false;
    // `y` is a status; other than 0 means that a wish of ours failed and nothing changed.
    if (area.y == 0) {
        const auto sized = resize(area.width, area.height);
        if (!sized) return tl::unexpected(sized.error());
    }
    at_ += length;
    rectangle_done({});
    return true;
}

Result<bool> RfbClient::skip_pointer(const Area& area) {
    const auto height = static_cast<std::size_t>(area.height);
    const std::size_t length = kRectangleHeader + static_cast<std::size_t>(area.width) * height * 4 +
                               (static_cast<std::size_t>(area.width) + 7) / 8 * height;
    if (length > kLargestRectangle) return failure(ErrorCode::limit, "the server's pointer is too large");
    if (!has(length)) return false;
    at_ += length;
    rectangle_done({});
    return true;
}

void RfbClient::rectangle_done(const Area& drawn) {
    bounds_ = bounds_.united(drawn);
    if (!complete_ && !drawn.empty()) {
        for (int y = drawn.y; y < drawn.y + drawn.height; ++y) {
            for (int x = drawn.x; x < drawn.x + drawn.width; ++x) {
                const auto at = static_cast<std::size_t>(y) * static_cast<std::size_t>(picture_.width) + static_cast<std::size_t>(x);
                if (!drawn_[at]) --undrawn_;
                drawn_[at] = true;
            }
        }
    }
    assert(rectangles_ > 0);
    if (--rectangles_ == 0) update_done();
}

void RfbClient::update_done() {
    const bool first = !complete_ && undrawn_ == 0;
    if (first) {
        complete_ = true;
        drawn_ = {};
    }
    updates_.push_back({bounds_, first});
    stage_ = Stage::message;
    // A new size means that the whole picture is wanted anew.
    request(!std::exchange(resized_, false));
}

void RfbClient::key(std::uint32_t keysym, bool down) {
    assert(ready());
    put(4, 1);
    put(down ? 1 : 0, 1);
    put(0, 2);
    put(keysym, 4);
}

void RfbClient::pointer(int x, int y, std::uint8_t buttons) {
    assert(ready());
    put(5, 1);
    put(buttons, 1);
    put(static_cast<std::uint64_t>(std::clamp(x, 0, picture_.width - 1)), 2);
    put(static_cast<std::uint64_t>(std::clamp(y, 0, picture_.height - 1)), 2);
}

void RfbClient::clipboard(const std::string& latin1) {
    assert(ready());
    put(6, 1);
    put(0, 3);
    put(latin1.size(), 4);
    for (const char c : latin1) output_.push_back(static_cast<std::uint8_t>(c));
}

}  // namespace understudy::client
