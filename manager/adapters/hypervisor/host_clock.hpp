// The frequency of this machine's time stamp counter. Under software emulation a guest's counter is this
// machine's; a guest that finds out by itself while the machine is busy may be wrong by a factor, and then
// its clock, its leases and its heartbeats are. Any thread.
#pragma once

#include <cstdint>

namespace understudy::manager {

/// In kHz, measured once per process (takes 50 ms); 0 on machines without such a counter.
[[nodiscard]] std::uint64_t time_stamp_counter_khz();

}  // namespace understudy::manager
