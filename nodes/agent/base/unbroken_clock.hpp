// A clock that misses nothing while the machine stands still. The kernel's monotonic clock of a guest does: with the
// timer that an emulated processor leaves it (hpet, 32 bits at 100 MHz), a machine that was stopped for 43 seconds
// believes that no time has passed, and its lease is good. The processor's own counter does not wrap. It runs at an
// unknown speed, so it is not the clock here but its witness: its speed is learned from the clock while all is well,
// and when it says that seconds are missing, they are added.
//
// Not seen: a machine whose processor counter stands still as well, as when its hypervisor suspends it. Pure; one thread.
#pragma once

#include <cstdint>

#include "protocol/time.hpp"

namespace understudy::node {

/// Both clocks, read together: the counter right before and right after the monotonic clock.
struct ClockReading {
    std::uint64_t before = 0;
    Duration monotonic{0};
    std::uint64_t after = 0;  ///< 0 with `before` 0: this processor has no such counter
};

[[nodiscard]] ClockReading read_clocks();

class UnbrokenClock {
  public:
    /// The monotonic clock plus what it has missed so far. Never falls while the monotonic clock does not.
    [[nodiscard]] Duration at(const ClockReading& reading);
    /// How much that is.
    [[nodiscard]] Duration missed() const { return missed_; }

  private:
    void learn(const ClockReading& reading, Duration passed);

    ClockReading last_;
    double ticks_per_us_ = 0;  ///< 0: not known yet
    Duration missed_{0};
};

}  // namespace understudy::node
