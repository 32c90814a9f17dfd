// See zrle.hpp.
#include "client/rfb/zrle.hpp"

#include <zlib.h>

#include <array>
#include <cassert>
#include <cstring>

namespace understudy::client {
namespace {

constexpr int kTile = 64;
constexpr std::size_t kPixelBytes = 3;  // what the chosen pixel format makes of a CPIXEL

/// Reads what the zlib stream yields; remembers that something was missing instead of failing at once.
class Reader {
public:
    explicit Reader(BytesView bytes) : bytes_(bytes) {}

    std::uint8_t byte() {
        if (at_ >= bytes_.size()) {
            short_ = true;
            return 0;
        }
        return bytes_[at_++];
    }

    std::uint32_t pixel() {
        if (at_ + kPixelBytes > bytes_.size()) {
            short_ = true;
            return 0;
        }
        // Little endian, red at shift 16: blue comes first.
        const std::uint32_t value = static_cast<std::uint32_t>(bytes_[at_]) | static_cast<std::uint32_t>(bytes_[at_ + 1]) << 8 |
                                    static_cast<std::uint32_t>(bytes_[at_ + 2]) << 16;
        at_ += kPixelBytes;
        return value;
    }

    int run_length() {
        int length = 1;
        std::uint8_t part = 255;
        while (part == 255 && !short_ && length <= kTile * kTile) {
            part = byte();
            length += part;
        }
        return length;
    }

    [[nodiscard]] bool missing() const { return short_; }

private:
    BytesView bytes_;
    std::size_t at_ = 0;
    bool short_ = false;
};

/// Puts pixels into a tile in reading order; what would lie outside is dropped and noticed.
class TileWriter {
public:
    TileWriter(Picture& picture, const Area& tile) : picture_(picture), tile_(tile) {}

    void put(std::uint32_t pixel, int count = 1) {
        for (int i = 0; i < count; ++i) {
            if (done_ >= tile_.width * tile_.height) {
                over_ = true;
                return;
            }
            picture_.set(tile_.x + done_ % tile_.width, tile_.y + done_ / tile_.width, pixel);
            ++done_;
        }
    }

    [[nodiscard]] bool full() const { return done_ >= tile_.width * tile_.height; }
    [[nodiscard]] bool over() const { return over_; }

private:
    Picture& picture_;
    Area tile_;
    int done_ = 0;
    bool over_ = false;
};

using Palette = std::array<std::uint32_t, 128>;

void draw_packed(Reader& reader, const Palette& palette, int colours, const Area& tile, TileWriter& writer) {
    const int bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
    for (int row = 0; row < tile.height; ++row) {
        int left = 0;
        std::uint8_t part = 0;
        for (int column = 0; column < tile.width; ++column) {
            if (left == 0) {
                part = reader.byte();
                left = 8;
            }
            left -= bits;
            writer.put(palette[static_cast<std::size_t>(part >> left & ((1 << bits) - 1))]);
        }
    }
}

void draw_palette_runs(Reader& reader, const Palette& palette, TileWriter& writer) {
    while (!writer.full() && !reader.missing()) {
        const std::uint8_t code = reader.byte();
        writer.put(palette[code & 127u], code < 128 ? 1 : reader.run_length());
    }
}

bool draw_tile(Reader& reader, const Area& tile, Picture& picture) {
    TileWriter writer(picture, tile);
    const int kind = reader.byte();
    Palette palette{};
    const int colours = kind > 128 ? kind - 128 : kind <= 16 ? kind : 0;
    if ((kind > 16 && kind < 128) || kind == 129) return false;
    if (kind != 0 && kind != 128) {
        for (int i = 0; i < colours; ++i) palette[static_cast<std::size_t>(i)] = reader.pixel();
    }
    if (kind == 0) {
        while (!writer.full() && !reader.missing()) writer.put(reader.pixel());
    } else if (kind == 1) {
        writer.put(palette[0], tile.width * tile.height);
    } else if (kind <= 16) {
        draw_packed(reader, palette, colours, tile, writer);
    } else if (kind == 128) {
        while (!writer.full() && !reader.missing()) {
            const std::uint32_t pixel = reader.pixel();
            writer.put(pixel, reader.run_length());
        }
    } else {
        draw_palette_runs(reader, palette, writer);
    }
    return !reader.missing() && !writer.over();
}

}  // namespace

struct ZrleDecoder::Stream {
    Stream() {
        const int started = inflateInit(&state);
        assert(started == Z_OK);
        static_cast<void>(started);
    }
    ~Stream() { inflateEnd(&state); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    z_stream state{};
    Bytes plain;
};

ZrleDecoder::ZrleDecoder() : stream_(std::make_unique<Stream>()) {}
ZrleDecoder::ZrleDecoder(ZrleDecoder&&) noexcept = default;
ZrleDecoder& ZrleDecoder::operator=(ZrleDecoder&&) noexcept = default;
ZrleDecoder::~ZrleDecoder() = default;

Result<> ZrleDecoder::decode(BytesView compressed, const Area& area, Picture& picture) {
    // A tile never needs more than its raw pixels with a run length each, a palette and a kind.
    const auto pixels = static_cast<std::size_t>(area.width) * static_cast<std::size_t>(area.height);
    const auto tiles = static_cast<std::size_t>((area.width + kTile - 1) / kTile) * static_cast<std::size_t>((area.height + kTile - 1) / kTile);
    stream_->plain.resize(pixels * (kPixelBytes + 1) + tiles * (1 + 127 * kPixelBytes));
    z_stream& state = stream_->state;
    state.next_in = const_cast<Bytef*>(compressed.data());  // zlib does not write to it
    state.avail_in = static_cast<uInt>(compressed.size());
    state.next_out = stream_->plain.data();
    state.avail_out = static_cast<uInt>(stream_->plain.size());
    const int inflated = inflate(&state, Z_SYNC_FLUSH);
    if ((inflated != Z_OK && inflated != Z_BUF_ERROR) || state.avail_in != 0) {
        return failure(ErrorCode::damaged, "a compressed rectangle of the server does not unpack");
    }
    Reader reader(BytesView(stream_->plain).first(stream_->plain.size() - state.avail_out));
    for (int y = area.y; y < area.y + area.height; y += kTile) {
        for (int x = area.x; x < area.x + area.width; x += kTile) {
            const Area tile{x, y, std::min(kTile, area.x + area.width - x), std::min(kTile, area.y + area.height - y)};
            if (!draw_tile(reader, tile, picture)) return failure(ErrorCode::damaged, "a tile of the server's picture is damaged");
        }
    }
    return {};
}

}  // namespace understudy::client
