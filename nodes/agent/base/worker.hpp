// A thread for blocking work. Jobs run one after another; what they found out goes back to the loop as a
// plain value, through Loop::post().
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace understudy::node {

/// The destructor waits for the job at work; jobs not begun are dropped. Jobs must come back in finite
/// time by themselves or be cut short by whoever gave them (closing a socket, killing a process).
class Worker {
  public:
    static constexpr int kAside = 10;  ///< niceness of what nobody waits for
    /// `niceness`: of its thread, as nice(1) counts.
    explicit Worker(int niceness = 0);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void run(std::function<void()> job);

  private:
    void work(int niceness);

    std::mutex mutex_;  ///< guards jobs_ and ending_
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;
    bool ending_ = false;
    std::thread thread_;
};

/// While it lives, the calling thread gives way to what people are waiting for.
class StepAside {
  public:
    StepAside();
    ~StepAside();
    StepAside(const StepAside&) = delete;
    StepAside& operator=(const StepAside&) = delete;

  private:
    int before_;
};

}  // namespace understudy::node
