// A display server, or whoever pretends to be one: the terminal's reader stands whatever it says, from the handshake on,
// and understands it alike in whatever pieces it comes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "client/rfb/rfb_client.hpp"

using namespace understudy;
using client::RfbClient;

namespace {

constexpr std::size_t kPixels = 1 << 14;  ///< larger pictures only cost time

struct Heard {
    bool failed = false;
    bool ready = false;
    bool complete = false;
    std::size_t updates = 0;
    client::Picture picture;
};

Heard heard(BytesView bytes, std::size_t piece) {
    RfbClient rfb(kPixels);
    Heard result;
    while (!bytes.empty() && !result.failed) {
        const std::size_t length = std::min(piece, bytes.size());
        result.failed = !rfb.feed(bytes.subspan(0, length)).has_value();
        bytes = bytes.subspan(length);
        const client::Picture& picture = rfb.picture();
        const auto count = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
        if (picture.pixels.size() != count || count > kPixels) std::abort();
        for (const RfbClient::Update& update : rfb.take_updates()) {
            // The picture may have become smaller since, in the same piece; areas are never below nothing.
            if (update.bounds.x < 0 || update.bounds.y < 0) std::abort();
            ++result.updates;
        }
        // Whoever is not through with the handshake has not been told anything but its steps.
        if (!rfb.ready() && rfb.take_output().size() > 14) std::abort();
        if (rfb.ready()) static_cast<void>(rfb.take_output());
        static_cast<void>(rfb.take_clipboard());
    }
    result.ready = rfb.ready();
    result.complete = rfb.complete();
    if (result.complete && !result.ready) std::abort();
    result.picture = rfb.picture();
    return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const BytesView bytes(data + 1, size - 1);
    const Heard pieces = heard(bytes, data[0] % 63 + 1U);
    const Heard whole = heard(bytes, std::max<std::size_t>(bytes.size(), 1));
    if (pieces.failed != whole.failed || pieces.ready != whole.ready || pieces.complete != whole.complete || pieces.updates != whole.updates) std::abort();
    if (pieces.picture.width != whole.picture.width || pieces.picture.pixels != whole.picture.pixels) std::abort();
    return 0;
}
