// What is said at a door before a stream: neither side's reader can be led astray, in whatever pieces the bytes come.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocol/door_line.hpp"
#include "protocol/limits.hpp"

using namespace understudy;

namespace {

void first_line(std::string_view text) {
    const auto said = parse_first_line(text);
    if (!said) return;
    // What is taken for a line could have come byte by byte, and its pass is a part of it.
    for (std::size_t length = 0; length <= std::min(text.size(), limits::kDoorLineBytes - 1); ++length) {
        if (!may_become_first_line(text.substr(0, length))) std::abort();
    }
    if (said->pass.empty() || !text.ends_with(said->pass)) std::abort();
    const Bearer bearer = said->is_renewal ? Bearer("ticket", std::string(said->pass)) : Bearer(std::string(said->pass));
    if (bearer.first_line(said->purpose) != std::string(text) + "\n") std::abort();
}

DoorAnswer taken(std::string_view text, std::size_t piece) {
    DoorAnswer answer;
    std::size_t used = 0;
    for (std::size_t at = 0; at < text.size(); at += piece) used += answer.take(text.substr(at, piece));
    const auto end = text.find('\n');
    if (used > text.size() || (answer.state() == DoorAnswer::State::admitted && used != end + 1)) std::abort();
    return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
    if (data[0] % 2 == 0) {
        first_line(rest);
        return 0;
    }
    const DoorAnswer whole = taken(rest, std::max<std::size_t>(rest.size(), 1));
    const DoorAnswer pieces = taken(rest, data[1] % 64 + 1U);
    const bool admitted = whole.state() == DoorAnswer::State::admitted;
    if (admitted != (pieces.state() == DoorAnswer::State::admitted) || whole.renewal() != pieces.renewal()) std::abort();
    if (admitted && (whole.renewal().size() != kRenewalBytes || whole.is_void())) std::abort();
    return 0;
}
