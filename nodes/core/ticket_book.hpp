// What a door remembers of tickets and renewals, so that each lets in once. Pure: clock and randomness are given.
//
// A ticket is spent when its bearer has got the door's answer and said so: an answer that was lost costs nothing. What
// it gets with that answer is a renewal, bound to the same claims, which lets in once more, also while the manager is
// away. Everything is bounded: with a ticket that is forgotten, all that were made before it are refused (their serials
// are lower, whatever happens to the manager's clock: one that jumps back makes no used ticket good again, and fresh ones
// are taken at once); of renewals, the oldest is forgotten, and its bearer needs a ticket again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

class TicketBook {
  public:
    static constexpr std::size_t kSpent = 16384;
    static constexpr std::size_t kRenewals = 1024;
    /// By as much a door may believe it is earlier than it is for the manager: a Welcome that was long under way.
    static constexpr std::int64_t kClockMarginMs = 30'000;

    /// How somebody came: with a ticket, or (not empty) with this renewal.
    struct Pass {
        TicketClaims claims;
        std::string renewal;
    };

    /// May this ticket, whose signature holds, be used now? `wall_ms`: the manager's clock. Errors: `refused`.
    [[nodiscard]] Result<Pass> look_at(const TicketClaims& ticket, std::int64_t wall_ms) const;
    /// The same for a renewal.
    [[nodiscard]] Result<Pass> look_at(const std::string& renewal) const;

    /// The bearer is in: what it came with is void, and `next` is good for one more time. Errors: `refused` (somebody
    /// else was in first with the same pass; then nothing changes).
    [[nodiscard]] Result<> spend(const Pass& pass, std::string next, std::int64_t wall_ms);

    /// Forgets the renewals whose claims will never be admitted again.
    void forget(const std::function<bool(const TicketClaims&)>& is_over);

    [[nodiscard]] std::size_t spent() const { return spent_.size(); }
    [[nodiscard]] std::size_t renewals() const { return renewals_.size(); }

  private:
    struct Renewal {
        TicketClaims claims;
        std::uint64_t age = 0;
    };

    void forget_oldest();

    std::map<std::uint64_t, std::int64_t> spent_;  ///< serial, which rises for ever, to the end of its life
    std::uint64_t forgotten_until_ = 0;            ///< tickets up to this serial may have been used
    std::map<std::string, Renewal> renewals_;
    std::map<std::uint64_t, std::string> by_age_;
    std::uint64_t ages_ = 0;
};

}  // namespace understudy::node
