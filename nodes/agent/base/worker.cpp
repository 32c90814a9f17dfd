// See worker.hpp.
#include "nodes/agent/base/worker.hpp"

#include <sys/resource.h>
#include <unistd.h>

namespace understudy::node {
namespace {

// Without the right to be less nice than before, a thread stays as it is.
void be_nice(int niceness) { (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness); }

}  // namespace

StepAside::StepAside() : before_(::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()))) { be_nice(Worker::kAside); }
StepAside::~StepAside() { be_nice(before_); }

Worker::Worker(int niceness) : thread_([this, niceness] { work(niceness); }) {}

Worker::~Worker() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Worker::run(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
}

void Worker::work(int niceness) {
    be_nice(niceness);
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (ending_) return;
        const auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
}

}  // namespace understudy::node
