// See loop.hpp.
#include "nodes/agent/base/loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cstdlib>

namespace understudy::node {
namespace {

// An agent that can't watch its own descriptors can do nothing; process 1 starts a new one.
void insist(bool worked) {
    if (!worked) std::abort();
}

}  // namespace

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    insist(epoll_ && wake_);
    start_ = clock_.at(read_clocks()) - std::chrono::seconds(1);
    watch(wake_.get(), EPOLLIN, [this](std::uint32_t) {
        std::uint64_t count = 0;
        while (::read(wake_.get(), &count, sizeof count) > 0) {
        }
    });
}

Loop::~Loop() = default;

TimePoint Loop::now() const {
    const std::lock_guard lock(clock_mutex_);
    return TimePoint(clock_.at(read_clocks()) - start_);
}

Loop::Id Loop::watch(int descriptor, std::uint32_t events, OnReady handler) {
    const Id id = next_id_++;
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    insist(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0);
    watches_[id] = std::make_shared<Watch>(Watch{descriptor, std::move(handler)});
    return id;
}

void Loop::change(Id watch, std::uint32_t events) {
    const auto found = watches_.find(watch);
    if (found == watches_.end()) return;
    epoll_event event{};
    event.events = events;
    event.data.u64 = watch;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second->descriptor, &event);
}

void Loop::unwatch(Id watch) {
    const auto found = watches_.find(watch);
    if (found == watches_.end()) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second->descriptor, nullptr);
    watches_.erase(found);
}

Loop::Id Loop::at(TimePoint when, Task task) {
    const Id id = next_id_++;
    timers_.emplace(std::pair{when, id}, std::move(task));
    timer_times_.emplace(id, when);
    return id;
}

void Loop::cancel(Id timer) {
    const auto found = timer_times_.find(timer);
    if (found == timer_times_.end()) return;
    timers_.erase({found->second, timer});
    timer_times_.erase(found);
}

void Loop::post(Task task) {
    {
        const std::lock_guard lock(posted_mutex_);
        posted_.push_back(std::move(task));
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

int Loop::timeout_ms() const {
    if (timers_.empty()) return -1;
    const auto left = timers_.begin()->first.first - now();
    if (left <= Duration::zero()) return 0;
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

void Loop::run_posted() {
    std::vector<Task> tasks;
    {
        const std::lock_guard lock(posted_mutex_);
        tasks.swap(posted_);
    }
    for (auto& task : tasks) task();
}

void Loop::run_timers() {
    const auto moment = now();
    while (!timers_.empty() && timers_.begin()->first.first <= moment) {
        auto node = timers_.extract(timers_.begin());
        timer_times_.erase(node.key().second);
        node.mapped()();
    }
}

void Loop::dispatch() {
    // A machine that stood still wakes up here: what is over by now comes before what has arrived meanwhile.
    run_timers();
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        const auto found = watches_.find(event.data.u64);
        if (found == watches_.end()) continue;  // an earlier handler of this round took it away
        const auto watch = found->second;
        watch->handler(event.events);
    }
    run_posted();
    run_timers();
}

}  // namespace understudy::node
