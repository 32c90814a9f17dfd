// See door.hpp.
#include "client/link/door.hpp"

#include "protocol/limits.hpp"

namespace understudy::client {

std::string desktop_greeting(std::string_view ticket) {
    return "UNDERSTUDY/1 desktop " + std::string(ticket) + "\n";
}

std::size_t DoorAnswer::take(std::string_view bytes) {
    if (state_ != State::incomplete) return 0;
    const auto end = bytes.find('\n');
    const std::size_t used = end == std::string_view::npos ? bytes.size() : end + 1;
    line_ += bytes.substr(0, end == std::string_view::npos ? bytes.size() : end);
    if (line_.size() > limits::kDoorLineBytes) {
        state_ = State::refused;
        reason_ = "the door's answer is too long";
    } else if (end != std::string_view::npos) {
        if (line_ == "OK") {
            state_ = State::admitted;
        } else {
            state_ = State::refused;
            reason_ = line_.starts_with("NO ") ? line_.substr(3) : "the door answered something unknown";
        }
    }
    return used;
}

}  // namespace understudy::client
