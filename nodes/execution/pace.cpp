// See pace.hpp.
#include "nodes/execution/pace.hpp"

#include <algorithm>

namespace understudy::node {

void Pace::made(Duration pause, Duration work) {
    // One slow checkpoint (the complete ones are) must not slow the next ones down for long.
    const auto blend = [](Duration old, Duration now) { return old == Duration::zero() ? now : (old + now) / 2; };
    pause_ = blend(pause_, pause);
    work_ = blend(work_, work);
}

Duration Pace::interval() const {
    const Duration by_budget(static_cast<Duration::rep>(static_cast<double>(pause_.count()) / budget_));
    // Making one and bringing it over may take up to half of the machine's and the network's time.
    const Duration by_work = 2 * std::max(work_, transfer_);
    return std::clamp(std::max(by_budget, by_work), kShortest, kLongest);
}

}  // namespace understudy::node
