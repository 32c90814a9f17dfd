// How many machines a pool keeps ready, and why: from what was asked of it lately and how long getting one
// takes, both measured by the core itself, and from what the loss of one host would cost. Pure.
//
// A target is what a pool is filled up to. Nothing is destroyed because a target fell; that is what max_idle
// and max_paused are for. So a pool that follows demand never swings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/ids.hpp"
#include "protocol/time.hpp"

namespace understudy::manager {

struct State;
struct PoolRecord;

/// What one pool aims at, with the figures it follows from.
struct Target {
    std::uint32_t idle = 0;
    std::uint32_t paused = 0;
    std::size_t taken = 0;           ///< machines taken from the pool inside the demand window
    Duration ready_after{0};         ///< usual time to an idle machine; zero: none was made yet
    Duration paused_after{0};        ///< usual time to one that stands still; zero: none was made yet
    std::uint32_t meanwhile = 0;     ///< taken while one idle machine is made
    std::uint32_t meanwhile_paused = 0;  ///< taken while one is made that stands still
    std::uint32_t host_loss = 0;     ///< machines in use on the host that carries most of them
    HostId largest;                  ///< that host; none: nothing is in use, or no other host could replace it
};

/// Inside the pool's limits: min_idle ≤ idle ≤ max_idle, min_paused ≤ paused ≤ max_paused.
[[nodiscard]] Target target_of(const State& state, const PoolRecord& pool);

/// The same in words, for people.
[[nodiscard]] std::string explain(const State& state, const PoolRecord& pool, const Target& target);

}  // namespace understudy::manager
