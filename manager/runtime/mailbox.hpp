// Where workers put plain values for the thread that owns the core. Its descriptor is readable while
// something is inside, so that the loop's one wait covers it.
//
// The lock is held for the time of one move only; it is here because this is the border between threads.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include "manager/runtime/unique_fd.hpp"

namespace understudy::manager {

template <class Letter>
class Mailbox {
  public:
    Mailbox() : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

    /// Any thread.
    void push(Letter letter) {
        {
            const std::lock_guard lock(mutex_);
            letters_.push_back(std::move(letter));
        }
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto rung = ::write(bell_.get(), &one, sizeof one);
    }

    /// Everything inside, oldest first. The owner's thread.
    [[nodiscard]] std::vector<Letter> take_all() {
        std::uint64_t rings = 0;
        [[maybe_unused]] const auto silenced = ::read(bell_.get(), &rings, sizeof rings);
        const std::lock_guard lock(mutex_);
        return std::exchange(letters_, {});
    }

    /// Readable while something is inside.
    [[nodiscard]] int descriptor() const { return bell_.get(); }

  private:
    UniqueFd bell_;
    std::mutex mutex_;
    std::vector<Letter> letters_;
};

}  // namespace understudy::manager
