// See inbox.hpp.
#include "client/link/inbox.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cassert>
#include <cstdint>
#include <utility>

namespace understudy::client {
namespace {

// More would mean that the program stopped reading; the newest matter then (a view, a redirect).
constexpr std::size_t kMostEvents = 4096;

}  // namespace

Inbox::Inbox() : wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { assert(wakeup_ >= 0); }

Inbox::~Inbox() { ::close(wakeup_); }

LinkSink Inbox::sink() {
    return [this](LinkEvent event) {
        const std::lock_guard lock(mutex_);
        if (events_.size() >= kMostEvents) events_.pop_front();
        events_.push_back(std::move(event));
        const std::uint64_t one = 1;
        static_cast<void>(!::write(wakeup_, &one, sizeof one));
    };
}

std::optional<LinkEvent> Inbox::take() {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) {
        std::uint64_t count = 0;
        static_cast<void>(!::read(wakeup_, &count, sizeof count));
        return std::nullopt;
    }
    LinkEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
}

std::optional<LinkEvent> Inbox::take_until(std::chrono::steady_clock::time_point deadline) {
    while (true) {
        if (auto event = take()) return event;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return std::nullopt;
        pollfd waiting{wakeup_, POLLIN, 0};
        static_cast<void>(::poll(&waiting, 1, static_cast<int>(left.count())));
    }
}

}  // namespace understudy::client
