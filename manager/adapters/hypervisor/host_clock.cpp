// See host_clock.hpp.
#include "manager/adapters/hypervisor/host_clock.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>

#include <chrono>
#include <thread>
#endif

namespace understudy::manager {

#if defined(__x86_64__)
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSpan{50};
constexpr int kTries = 20;

/// Both clocks at one instant: of several readings the one that was interrupted least.
struct Instant {
    std::uint64_t ticks = 0;
    Clock::time_point time;
};

Instant read_both() {
    Instant best;
    std::uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < kTries; ++i) {
        const std::uint64_t before = __rdtsc();
        const auto time = Clock::now();
        const std::uint64_t after = __rdtsc();
        if (after - before >= shortest) continue;
        shortest = after - before;
        best = {before + (after - before) / 2, time};
    }
    return best;
}

std::uint64_t measure() {
    const Instant begin = read_both();
    std::this_thread::sleep_for(kSpan);
    const Instant end = read_both();
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(end.time - begin.time).count();
    return us <= 0 ? 0 : (end.ticks - begin.ticks) * 1000 / static_cast<std::uint64_t>(us);
}

}  // namespace

std::uint64_t time_stamp_counter_khz() {
    static const std::uint64_t measured = measure();
    return measured;
}
#else
std::uint64_t time_stamp_counter_khz() { return 0; }
#endif

}  // namespace understudy::manager
