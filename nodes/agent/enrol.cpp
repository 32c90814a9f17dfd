// See enrol.hpp.
#include "nodes/agent/enrol.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <variant>

#include "nodes/agent/link.hpp"

namespace understudy::node {
namespace {

constexpr int kAgainMs = 1000;

std::int64_t wall_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<> enrol(const Config& config, OwnKeys& keys, Loop& loop, const bool& ending) {
    const auto next = keys.next(wall_ms());
    if (!next) return tl::unexpected(next.error());
    std::optional<KeyNamed> answer;
    std::unique_ptr<Link> link;
    Link::Listener listener;
    listener.on_message = [&](const Message& message) {
        const auto* named = std::get_if<KeyNamed>(&message);
        const bool later = named != nullptr && named->code == static_cast<std::uint32_t>(ErrorCode::unavailable);
        if (named != nullptr && !later) answer = *named;
    };
    listener.on_change = [&](bool up) {
        if (up) link->send(NameKey{next->public_key});
    };
    listener.on_nonsense = [](const std::string&) {};
    auto opened = Link::open(config, keys.current(), 0, std::move(listener));
    if (!opened) return tl::unexpected(opened.error());
    link = std::move(*opened);
    auto again = std::chrono::steady_clock::now() + std::chrono::milliseconds(kAgainMs);
    while (!answer) {
        const int due_ms = loop.timeout_ms();
        link->wait(loop.descriptor(), due_ms < 0 ? kAgainMs : std::min(due_ms, kAgainMs));
        loop.dispatch();
        if (ending) return failure(ErrorCode::unavailable, "asked to end before the manager knew this machine's key");
        if (std::chrono::steady_clock::now() < again) continue;
        link->send(NameKey{next->public_key});
        again += std::chrono::milliseconds(kAgainMs);
    }
    if (answer->code != 0) return failure(ErrorCode::refused, "the manager does not take this machine's key: " + answer->text);
    return keys.take_next();
}

}  // namespace understudy::node
