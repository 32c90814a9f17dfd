// See unbroken_clock.hpp.
#include "nodes/agent/base/unbroken_clock.hpp"

#include <chrono>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace understudy::node {
namespace {

constexpr Duration kWindow = std::chrono::seconds(1);    ///< the speed is learned over windows at least so long
constexpr Duration kMissing = std::chrono::seconds(1);   ///< less is not held to be a pause
constexpr double kTolerated = 0.1;                       ///< and neither is a share of the time below this
constexpr std::uint64_t kWideShare = 100;                ///< a reading that took 1/100 of a window tells no speed

std::uint64_t processor_counter() {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return 0;
#endif
}

}  // namespace

ClockReading read_clocks() {
    ClockReading reading;
    reading.before = processor_counter();
    reading.monotonic = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
    reading.after = processor_counter();
    return reading;
}

Duration UnbrokenClock::at(const ClockReading& reading) {
    const bool first = last_.after == 0;
    // A counter that fell belongs to another processor, or to this machine on another host.
    if (first || reading.before < last_.after || reading.monotonic < last_.monotonic) {
        last_ = reading;
        return reading.monotonic + missed_;
    }
    const Duration passed = reading.monotonic - last_.monotonic;
    if (ticks_per_us_ > 0) {
        // Whatever happened between the readings of the two clocks makes this less, never more.
        const double by_counter = static_cast<double>(reading.before - last_.after) / ticks_per_us_;
        const double missing = by_counter - static_cast<double>(passed.count());
        if (missing > static_cast<double>(kMissing.count()) && missing > kTolerated * by_counter) {
            missed_ += Duration(static_cast<Duration::rep>(missing));
            last_ = reading;
            return reading.monotonic + missed_;
        }
    }
    if (passed >= kWindow) learn(reading, passed);
    return reading.monotonic + missed_;
}

void UnbrokenClock::learn(const ClockReading& reading, Duration passed) {
    const std::uint64_t ticks = reading.before - last_.after;
    const bool narrow = (reading.after - reading.before) * kWideShare < ticks && (last_.after - last_.before) * kWideShare < ticks;
    last_ = reading;
    if (!narrow) return;
    const double seen = static_cast<double>(ticks) / static_cast<double>(passed.count());
    // A first window that held a pause told far too much; a later one that tells less is right.
    const bool much_less = seen < ticks_per_us_ * (1 - kTolerated);
    if (ticks_per_us_ == 0 || much_less) ticks_per_us_ = seen;
    else ticks_per_us_ += (seen - ticks_per_us_) / 8;
}

}  // namespace understudy::node
