// When the lease of this node ends, for threads beside the agent's. The agent decides what is served; a thread that carries
// bytes only has to know that the time is over before it carries more, even when the agent has not had its turn yet.
#pragma once

#include <cstdint>
#include <mutex>

#include "nodes/agent/base/loop.hpp"
#include "protocol/time.hpp"

namespace understudy::node {

/// Any thread may call everything.
class LeaseTerm {
  public:
    /// `loop`: whose clock counts; it outlives this.
    explicit LeaseTerm(const Loop& loop) : loop_(loop) {}

    /// Of now on; TimePoint{}: there is none.
    void ends_at(TimePoint end);
    /// How often a lease has ended so far without being prolonged in time.
    [[nodiscard]] std::uint64_t lapses();

  private:
    void look();

    const Loop& loop_;
    std::mutex mutex_;  ///< guards all below
    TimePoint end_{};
    bool lasts_ = false;
    std::uint64_t lapses_ = 0;
};

}  // namespace understudy::node
