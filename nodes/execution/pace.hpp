// How often checkpoints are taken: as often as the budget allows. Pure; any thread.
#pragma once

#include "protocol/time.hpp"

namespace understudy::node {

/// What the last checkpoints cost.
class Pace {
  public:
    static constexpr Duration kShortest = std::chrono::seconds(1);
    static constexpr Duration kLongest = std::chrono::seconds(30);

    /// `budget`: share of the time the application may stand still. Precondition: 0 < budget < 1.
    explicit Pace(double budget) : budget_(budget) {}

    /// A checkpoint was made: `pause` the application stood still, `work` it took to make altogether.
    void made(Duration pause, Duration work);
    /// It was brought to a backup, which took so long.
    void brought(Duration transfer) { transfer_ = transfer; }

    /// From the start of one checkpoint to the start of the next.
    [[nodiscard]] Duration interval() const;

  private:
    double budget_;
    Duration pause_{};
    Duration work_{};
    Duration transfer_{};
};

}  // namespace understudy::node
