// One instant on both clocks that measurements need: the monotonic one, comparable between programs of
// one machine, and the wall clock, comparable with what the manager records. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace understudy::client {

struct Instant {
    std::int64_t mono_ns = 0;  ///< CLOCK_MONOTONIC
    std::int64_t wall_ms = 0;  ///< Unix milliseconds

    [[nodiscard]] static Instant now() {
        timespec mono{};
        clock_gettime(CLOCK_MONOTONIC, &mono);
        const auto wall = std::chrono::system_clock::now().time_since_epoch();
        return {std::int64_t{mono.tv_sec} * 1'000'000'000 + mono.tv_nsec,
                std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
    }
};

}  // namespace understudy::client
