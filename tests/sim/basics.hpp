// The simulator's smallest parts: its own random numbers (the same on every machine), clocks that run at
// different speeds, the trace hash, and what a broken promise looks like. One thread per simulation owns
// all of it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/time.hpp"

namespace understudy::sim {

[[nodiscard]] constexpr Duration ms(std::int64_t count) { return Duration(count * 1000); }

/// xorshift-multiply generator (method: SplitMix64); no std::distribution, whose results differ between
/// libraries.
class Rng {
  public:
    explicit Rng(std::uint64_t seed = 1) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15ull;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }

    /// 0 … bound-1; 0 when bound is 0.
    std::uint64_t below(std::uint64_t bound) {
        if (bound == 0) return 0;
        return bound <= 0xffffffffu ? ((next() >> 32) * bound) >> 32 : next() % bound;
    }
    /// low … high, both included.
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
    }
    Duration between(Duration low, Duration high) { return Duration(between(low.count(), high.count())); }
    bool permille(std::uint32_t chance) { return chance != 0 && below(1000) < chance; }

    /// An independent stream for one purpose.
    Rng fork(std::uint64_t purpose) {
        Rng other(state_ ^ (purpose * 0xD6E8FEB86659FD93ull));
        other.next();
        return other;
    }

  private:
    std::uint64_t state_;
};

/// A clock of one machine: its own speed, its own origin; the wall part may be off and may jump.
struct Clock {
    std::int64_t parts_per_million = 0;
    std::int64_t origin_us = 0;
    std::int64_t wall_offset_ms = 0;

    [[nodiscard]] TimePoint local(TimePoint real) const {
        const std::int64_t us = to_us(real);
        return TimePoint{} + Duration(origin_us + us + us * parts_per_million / 1'000'000);
    }
    /// The first real moment at which the local clock shows `local_time` or later.
    [[nodiscard]] TimePoint real(TimePoint local_time) const {
        if (local_time == kNever) return kNever;
        const std::int64_t shown = to_us(local_time) - origin_us;
        TimePoint guess = TimePoint{} + Duration(shown - shown * parts_per_million / (1'000'000 + parts_per_million) - 2);
        while (local(guess) < local_time) guess += Duration(1);
        return guess;
    }
    [[nodiscard]] std::int64_t wall_ms(TimePoint real_time) const {
        return 1'700'000'000'000 + to_us(real_time) / 1000 + wall_offset_ms;
    }
};

/// FNV-1a over 64-bit words; equal histories give equal hashes.
class TraceHash {
  public:
    void mix(std::uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001B3ull ^ (hash_ >> 29); }
    void mix(std::string_view text) {
        for (const char c : text) mix(static_cast<unsigned char>(c));
    }
    [[nodiscard]] std::uint64_t value() const { return hash_; }

  private:
    std::uint64_t hash_ = 0xCBF29CE484222325ull;
};

enum class Exit : int { ok = 0, usage = 2, crash = 10, safety = 11, liveness = 12, coverage = 13 };

/// A promise of DESIGN.md that did not hold.
struct Violation {
    Exit kind = Exit::safety;
    std::string promise;  ///< "S1"
    std::string text;
};

}  // namespace understudy::sim
