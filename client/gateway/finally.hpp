// What must be done however a block ends. No thread owns it.
#pragma once

#include <utility>

namespace understudy::gateway {

/// Does its work once, when it goes out of scope: also when an error is thrown, or a coroutine is destroyed.
template <class Work>
class Finally {
public:
    explicit Finally(Work work) : work_(std::move(work)) {}
    Finally(const Finally&) = delete;
    Finally& operator=(const Finally&) = delete;
    ~Finally() { work_(); }

private:
    Work work_;
};

}  // namespace understudy::gateway
