// The numbers a decision depends on. Defaults are for people at work on a local network.
#pragma once

#include <chrono>
#include <cstdint>

#include "protocol/time.hpp"

namespace understudy::manager {

using namespace std::chrono_literals;

/// A failed request to a hypervisor is repeated after operation_retry, and later each time until 2 to this power times that.
inline constexpr std::uint32_t kRetryDoublings = 4;

struct Settings {
    Duration heartbeat = 1000ms;        ///< interval asked of agents
    Duration silence = 3000ms;          ///< without a sign for so long: failed, given up; proof still owed
    Duration lease = 10000ms;           ///< an agent freezes its sessions so long after its last acknowledged sign
    std::uint32_t drift_permille = 20;  ///< margin for clocks that run at different speeds, of the lease
    Duration suspect_grace = 1000ms;    ///< connection broken for so long: a presentation is replaced
    std::uint32_t witnesses = 3;        ///< so many others are asked whether they reach a suspect; 0: nobody
    Duration witness_interval = 1000ms; ///< and again so often while it stays one
    Duration resend = 1000ms;           ///< an unconfirmed assignment is said again
    Duration backup_grace = 30000ms;    ///< the last node with a session's memory is waited for so long after it fell silent
    Duration own_machine_grace = 20000ms;  ///< a first start waits so long for a machine without another application of its terminal
    Duration operation_retry = 5000ms;  ///< a failed or unanswered hypervisor operation is tried again
    Duration operation_patience = 120000ms;  ///< no answer to an operation for so long: asked again
    std::uint32_t create_attempts = 3;  ///< then the creation is given up and tried on another host
    Duration boot_limit = 120000ms;     ///< an instance that has not registered by then is replaced
    Duration pool_pause = 30000ms;      ///< a pool whose creations keep failing rests so long
    std::uint32_t parallel_creations = 2;  ///< per host
    Duration refill_rest = 2000ms;      ///< after a failure pools are not filled up for so long: whoever is being restored comes first
    Duration inventory_interval = 30000ms;  ///< hypervisors are asked what exists
    Duration demand_window = 600s;      ///< how far back a pool looks to see how many machines are asked for
    std::uint32_t gate_permille = 400;  ///< more than this share of nodes silent inside gate_window: the manager suspects itself
    std::uint32_t gate_minimum = 5;     ///< but never for fewer nodes than this
    Duration gate_window = 10000ms;
    Duration gate_collect = 500ms;      ///< so much before it is given up a node is counted as missed: time to see whether many are
    Duration gate_hold = 60000ms;       ///< then held nodes are given up one per gate_pace
    Duration gate_pace = 1000ms;
    Duration stall_threshold = 250ms;   ///< own lateness above this is not held against the nodes
    Duration tick = 250ms;              ///< the longest the core sleeps while it watches nodes
    std::uint32_t crash_limit = 3;      ///< so many crashes inside crash_window: start afresh instead of restoring
    Duration crash_window = 60000ms;
    std::uint32_t terminals_per_step = 64;  ///< bound on planning work per step
};

}  // namespace understudy::manager
