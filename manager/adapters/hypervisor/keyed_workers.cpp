// See keyed_workers.hpp.
#include "manager/adapters/hypervisor/keyed_workers.hpp"

#include "manager/adapters/system/signals.hpp"

namespace understudy::manager {

KeyedWorkers::KeyedWorkers(std::uint32_t normal) : normal_limit_(normal) {
    for (std::uint32_t i = 0; i <= normal; ++i) threads_.push_back(start_thread([this] { run(); }));
}

KeyedWorkers::~KeyedWorkers() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void KeyedWorkers::submit(std::uint64_t key, Urgency urgency, std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back({key, urgency, std::move(task)});
    }
    changed_.notify_all();
}

std::deque<KeyedWorkers::Task>::iterator KeyedWorkers::pick() {
    for (const Urgency urgency : {Urgency::urgent, Urgency::normal}) {
        if (urgency == Urgency::normal && normal_running_ >= normal_limit_) break;
        std::set<std::uint64_t> earlier;  // an urgent task does not overtake one of its own key
        for (auto task = waiting_.begin(); task != waiting_.end(); ++task) {
            const bool first = task->key == 0 || (!busy_.contains(task->key) && earlier.insert(task->key).second);
            if (first && task->urgency == urgency) return task;
        }
    }
    return waiting_.end();
}

void KeyedWorkers::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        auto next = waiting_.end();
        changed_.wait(lock, [&] {
            next = pick();
            return stopping_ || next != waiting_.end();
        });
        if (stopping_) return;
        Task task = std::move(*next);
        waiting_.erase(next);
        const bool normal = task.urgency == Urgency::normal;
        if (normal) ++normal_running_;
        const auto mine = busy_.insert(task.key);
        lock.unlock();
        task.body();
        task.body = nullptr;
        lock.lock();
        busy_.erase(mine);
        if (normal) --normal_running_;
        changed_.notify_all();
    }
}

}  // namespace understudy::manager
