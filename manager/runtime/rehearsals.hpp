// Rehearsals for administrators: made only when somebody looks, kept until the state changes, and never more
// often than their cost allows. Owned by the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "manager/core/rehearsal.hpp"

namespace understudy::manager {

class Rehearsals {
  public:
    /// `clock`: read before and after, to know what a rehearsal costs.
    explicit Rehearsals(std::function<Moment()> clock) : clock_(std::move(clock)) {}

    /// What would happen if `host` died, as JSON. `version` names the state: while it is the same, or the cost
    /// of the last rehearsals was too high for another one yet, the last answer serves; it says when it was made.
    /// Precondition: the host exists.
    [[nodiscard]] const std::string& loss(const Core& core, HostId host, std::uint64_t version);

    /// What would happen if the wish was granted; always fresh.
    [[nodiscard]] std::string wish(const Core& core, const Wish& wish, const std::string& title, std::uint32_t& code, std::string& text);

  private:
    struct Kept {
        std::uint64_t version = 0;
        std::string json;
    };
    std::function<Moment()> clock_;
    std::map<HostId, Kept> kept_;
    TimePoint free_at_{};  ///< rehearsals have cost their share of the time until then
};

}  // namespace understudy::manager
