// What makes a machine an individual: its id, its network address, its random numbers, its clock. Instances
// are copies of one image, or even of one running machine, and must not share any of it. Blocking, once at
// the start; the names of what is changed are the kernel's.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/result.hpp"

namespace understudy::node {

/// As a seed gives it; what is empty or 0 is left as it is.
struct MachineIdentity {
    std::string host_name;
    std::string machine_id;    ///< 32 hexadecimal digits
    std::string mac;           ///< of eth0, "52:54:00:…"
    std::string entropy;       ///< hexadecimal: stirred into the kernel's random numbers
    bool operator==(const MachineIdentity&) const = default;
};

/// Takes it on. Tries everything; errors: `failed`, with all that could not be done.
[[nodiscard]] Result<> take_on(const MachineIdentity& identity);

/// Sets the clock, when it is off by more than it takes to get here.
[[nodiscard]] Result<> set_clock(std::int64_t wall_ms);

}  // namespace understudy::node
