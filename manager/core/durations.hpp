// How long things took when they really happened: from the phases of incidents that are over, and from how
// long machines took to be made. Nothing is guessed: what was never measured is 0. Pure; reads, never writes.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "manager/core/state.hpp"

namespace understudy::manager {

class Durations {
  public:
    /// Looks at the newest incidents of each kind that ended with a picture. `state` outlives this.
    explicit Durations(const State& state);

    /// Until a picture, for an incident of this kind: the typical one (median), plus making a machine of
    /// `flavour` (empty: none is made), plus waiting for `turns` restores on the same machine. 0: unknown.
    [[nodiscard]] Duration expected(const std::string& kind, const std::string& flavour, std::uint32_t turns) const;

    /// How many incidents this rests on.
    [[nodiscard]] std::uint32_t measured() const { return measured_; }

  private:
    struct Typical {
        Duration whole{0};
        Duration restore{0};  ///< from durable to restored
    };
    const State& state_;
    std::map<std::string, Typical> kinds_;
    std::uint32_t measured_ = 0;
};

}  // namespace understudy::manager
