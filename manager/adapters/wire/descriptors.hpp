// Network descriptors that belong to libzmq, as far as the manager looks at them or ends what goes over them. Each may
// be closed, and be another by then, at any moment: whoever acts compares the other end first.
#pragma once

#include <cstdint>
#include <string>

namespace understudy::manager {

/// The other end of a network socket, as the kernel writes it; empty: it has none, or is none.
[[nodiscard]] std::string other_end(int descriptor);

/// The part of an other end that names the machine, without the port.
[[nodiscard]] std::string machine_of(const std::string& end);

/// Ends what goes over the descriptor if its other end is still `expected`. True: it did.
bool cut_descriptor(int descriptor, const std::string& expected);

/// How many bytes the other end has acknowledged since the connection was made; 0 when that is not known.
[[nodiscard]] std::uint64_t acknowledged_bytes(int descriptor);

}  // namespace understudy::manager
