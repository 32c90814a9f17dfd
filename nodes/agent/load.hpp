// How busy this node is. Owned by the agent's main thread.
#pragma once

#include <cstdint>

namespace understudy::node {

/// Reads /proc; values are since the last call.
class LoadMeter {
  public:
    struct Load {
        std::uint32_t busy_permille = 0;     ///< of all processors
        std::uint32_t memory_used_mib = 0;
    };
    [[nodiscard]] Load measure();
    [[nodiscard]] static std::uint32_t memory_mib();

  private:
    std::uint64_t busy_ = 0;
    std::uint64_t all_ = 0;
};

}  // namespace understudy::node
