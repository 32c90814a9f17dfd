// See lease_term.hpp.
#include "nodes/agent/lease_term.hpp"

namespace understudy::node {

/// One that has ended and is prolonged afterwards has lapsed all the same.
void LeaseTerm::look() {
    if (!lasts_ || loop_.now() < end_) return;
    lasts_ = false;
    ++lapses_;
}

void LeaseTerm::ends_at(TimePoint end) {
    const std::lock_guard lock(mutex_);
    if (lasts_ && end == end_) return;
    look();
    end_ = end;
    if (end != TimePoint{}) lasts_ = true;
    look();
}

std::uint64_t LeaseTerm::lapses() {
    const std::lock_guard lock(mutex_);
    look();
    return lapses_;
}

}  // namespace understudy::node
