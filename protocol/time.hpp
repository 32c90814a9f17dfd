// Time as the pure cores see it: a monotonic number somebody else read from a clock.
// Plain values; no thread owns them.
#pragma once

#include <chrono>
#include <cstdint>

namespace understudy {

using Duration = std::chrono::microseconds;

/// Names the time line of one program: monotonic, unrelated to wall clocks and to other machines.
struct LocalClock {
    using rep = Duration::rep;
    using period = Duration::period;
    using duration = Duration;
    using time_point = std::chrono::time_point<LocalClock>;
    static constexpr bool is_steady = true;
};

using TimePoint = LocalClock::time_point;

/// "Never": a wake-up that is not wanted.
inline constexpr TimePoint kNever = TimePoint::max();

/// Whole milliseconds, for borders that are crossed as bare numbers.
[[nodiscard]] constexpr std::int64_t to_ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

[[nodiscard]] constexpr std::int64_t to_us(TimePoint time) {
    return time.time_since_epoch().count();
}

}  // namespace understudy
