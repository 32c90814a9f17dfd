// Counted since this manager started, for those who measure it: how often things failed over, how it ended, and
// how long each phase took. Live, never durable: whoever collects them knows what a restart is. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "manager/core/records.hpp"

namespace understudy::manager {

/// Durations sorted into buckets; `counts` are of each bucket alone, the last one is for everything longer.
struct Histogram {
    static constexpr std::array<std::int64_t, 13> kBoundsUs{5'000, 10'000, 25'000, 50'000, 100'000, 250'000, 500'000,
                                                            1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000, 60'000'000};
    std::array<std::uint64_t, kBoundsUs.size() + 1> counts{};
    std::int64_t sum_us = 0;
    std::uint64_t count = 0;

    void add(std::int64_t us) {
        std::size_t bucket = 0;
        while (bucket < kBoundsUs.size() && us > kBoundsUs[bucket]) ++bucket;
        ++counts[bucket];
        ++count;
        sum_us += us;
    }
};

struct Figures {
    std::map<std::pair<std::string, std::string>, std::uint64_t> failovers;  ///< by kind and outcome
    std::map<std::pair<std::string, std::string>, Histogram> phases;         ///< by kind and phase; "whole": all of it

    /// Call once, when the incident is closed.
    void add(const IncidentRecord& incident);
};

}  // namespace understudy::manager
