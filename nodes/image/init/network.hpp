// The guest's network: static, because asking for an address would cost a second and the answer is
// known. No thread of its own.
#pragma once

#include "kernel_line.hpp"
#include "outcome.hpp"

namespace understudy::guest {

/// Brings up the loopback device and eth0. Defaults are those of user-mode networking and can be
/// overridden on the kernel command line:
/// `understudy.address=10.0.2.15/24 understudy.gateway=10.0.2.2 understudy.dns=10.0.2.3
/// understudy.hostname=node`. `understudy.address=none` leaves eth0 alone.
[[nodiscard]] Outcome configure_network(const KernelLine& line);

}  // namespace understudy::guest
