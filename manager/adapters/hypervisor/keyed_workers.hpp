// A few threads that carry out tasks: tasks of one key in order and never at once, urgent ones first, and
// one thread kept for the urgent.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace understudy::manager {

enum class Urgency : std::uint8_t { normal, urgent };

class KeyedWorkers {
  public:
    /// `normal`: so many tasks that are not urgent run at once.
    explicit KeyedWorkers(std::uint32_t normal);
    /// Waits for tasks that run; those that wait are dropped.
    ~KeyedWorkers();

    /// `key` 0: independent of all others. Any thread.
    void submit(std::uint64_t key, Urgency urgency, std::function<void()> task);

  private:
    struct Task {
        std::uint64_t key = 0;
        Urgency urgency = Urgency::normal;
        std::function<void()> body;
    };
    void run();
    /// The first task that may run now, in the order of urgency, then of submission.
    std::deque<Task>::iterator pick();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Task> waiting_;
    std::multiset<std::uint64_t> busy_;
    std::uint32_t normal_limit_;
    std::uint32_t normal_running_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace understudy::manager
