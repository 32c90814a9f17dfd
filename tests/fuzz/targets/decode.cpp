// Whatever comes off the wire is a message or a refusal; and a message is the same after another trip.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

using namespace understudy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto first = decode({data, size});
    if (!first) {
        if (first.error().message.empty()) std::abort();  // a refusal says why
        return 0;
    }
    if (size > limits::kMessageBytes) std::abort();
    static_cast<void>(name_of(first->message));
    const Bytes again = encode(*first);
    const auto second = decode(again);
    if (!second || !(*second == *first)) std::abort();
    return 0;
}
