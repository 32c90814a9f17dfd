// See door_line.hpp.
#include "protocol/door_line.hpp"

#include <algorithm>

#include "protocol/limits.hpp"

namespace understudy {
namespace {

constexpr std::string_view kGreeting = "UNDERSTUDY/1 ";

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view word_for(Purpose purpose) {
    switch (purpose) {
        case Purpose::window: return "window";
        case Purpose::desktop: return "desktop";
        case Purpose::checkpoint: return "checkpoint";
    }
    return "";
}

}  // namespace

Result<FirstLine> parse_first_line(std::string_view line) {
    if (!line.starts_with(kGreeting)) return failure(ErrorCode::refused, "this is not the first line of a stream");
    line.remove_prefix(kGreeting.size());
    const auto space = line.find(' ');
    FirstLine said;
    bool known = false;
    for (const Purpose purpose : {Purpose::window, Purpose::desktop, Purpose::checkpoint}) {
        if (space == std::string_view::npos || line.substr(0, space) != word_for(purpose)) continue;
        said.purpose = purpose;
        known = true;
    }
    if (!known) return failure(ErrorCode::refused, "a stream is a window, a desktop or a checkpoint");
    said.pass = line.substr(space + 1);
    if (said.pass.starts_with('=')) {
        said.is_renewal = true;
        said.pass.remove_prefix(1);
    }
    if (said.pass.empty() || !is_printable(said.pass)) return failure(ErrorCode::refused, "not a ticket");
    return said;
}

bool may_become_first_line(std::string_view bytes) {
    return bytes.size() < limits::kDoorLineBytes && kGreeting.starts_with(bytes.substr(0, kGreeting.size()));
}

std::string Bearer::first_line(Purpose purpose) const {
    return std::string(kGreeting) + std::string(word_for(purpose)) + " " + (renewal_.empty() ? ticket_ : "=" + renewal_) + "\n";
}

bool Bearer::voided() {
    if (renewal_.empty()) return false;
    renewal_.clear();
    return !ticket_.empty();
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
        judge();
    }
    return used;
}

void DoorAnswer::judge() {
    const std::string_view line = line_;
    if (line.starts_with("OK ") && line.size() == 3 + kRenewalBytes && is_printable(line.substr(3))) {
        state_ = State::admitted;
        renewal_ = line.substr(3);
        return;
    }
    state_ = State::refused;
    void_ = line.starts_with("VOID ");
    if (void_) reason_ = line.substr(5);
    else reason_ = line.starts_with("NO ") ? line.substr(3) : "what answers there is not a door";
}

}  // namespace understudy
