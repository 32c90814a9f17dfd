// Coverage marks: a line such as UNDERSTUDY_MARK("failover.promote_newest") counts how often a decision was
// taken, so that a batch of simulations can show that every branch was reached. Whether marks count is decided when
// a program is linked: `kCounted` and `counter` come from protocol/marks_off.cpp in everything that ships (a mark
// is one look at a constant there), from tests/sim/instruments.cpp in the simulator. The counters belong to the thread
// that hits them.
#pragma once

#include <cstdint>
#include <string_view>

namespace understudy::marks {

/// Do marks count in this program? Never changes while it runs.
extern const bool kCounted;

/// The calling thread's counter of one mark; it stays where it is as long as the thread lives.
/// Precondition: kCounted.
[[nodiscard]] std::uint64_t& counter(std::string_view name);

}  // namespace understudy::marks

#define UNDERSTUDY_MARK(name)                                                                         \
    do {                                                                                              \
        if (::understudy::marks::kCounted) [[unlikely]] {                                             \
            thread_local std::uint64_t& understudy_mark_counter = ::understudy::marks::counter(name); \
            ++understudy_mark_counter;                                                                \
        }                                                                                             \
    } while (false)
