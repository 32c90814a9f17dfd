// Finds the other end of a Unix connection. Any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace understudy::node {

/// For each of our connected Unix sockets: the inode of the socket at the other end; 0 while the other
/// side has not accepted it yet, or when the kernel does not say.
[[nodiscard]] std::vector<std::uint64_t> peer_inodes(const std::vector<int>& sockets);

}  // namespace understudy::node
