// Signals as something to be read, not something that interrupts. No thread of its own.
#pragma once

#include <functional>
#include <thread>

#include "manager/runtime/unique_fd.hpp"

namespace understudy::manager {

/// Blocks SIGINT, SIGTERM, SIGHUP and SIGCHLD for the calling thread and those it starts, ignores SIGPIPE, and
/// returns a descriptor that is readable when one came. Call before any other thread is started.
[[nodiscard]] UniqueFd take_over_signals();

/// The next signal that came; 0: none.
[[nodiscard]] int next_signal(const UniqueFd& signals);

/// Starts a thread that no signal is ever delivered to.
[[nodiscard]] std::thread start_thread(std::function<void()> body);

}  // namespace understudy::manager
