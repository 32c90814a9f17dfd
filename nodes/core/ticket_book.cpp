// See ticket_book.hpp.
#include "nodes/core/ticket_book.hpp"

#include <algorithm>
#include <utility>

namespace understudy::node {
namespace {

tl::unexpected<Error> refuse(std::string why) { return failure(ErrorCode::refused, std::move(why)); }

}  // namespace

Result<TicketBook::Pass> TicketBook::look_at(const TicketClaims& ticket, std::int64_t wall_ms) const {
    if (ticket.expires_wall_ms <= 0) return refuse("the ticket has no end and is not taken; ask the manager for a new one");
    if (wall_ms > ticket.expires_wall_ms + kClockMarginMs) return refuse("the ticket has expired; ask the manager for a new one");
    if (ticket.serial <= forgotten_until_) return refuse("the ticket is older than what is remembered here; ask the manager for a new one");
    if (spent_.contains(ticket.serial)) return refuse("this ticket was used; ask the manager for a new one");
    return Pass{ticket, {}};
}

Result<TicketBook::Pass> TicketBook::look_at(const std::string& renewal) const {
    const auto found = renewals_.find(renewal);
    if (found == renewals_.end()) return refuse("this renewal was used, or is not from here; a ticket is needed");
    return Pass{found->second.claims, renewal};
}

Result<> TicketBook::spend(const Pass& pass, std::string next, std::int64_t wall_ms) {
    if (pass.renewal.empty()) {
        if (const auto still = look_at(pass.claims, wall_ms); !still) return tl::unexpected(still.error());
        // What has expired is refused for that, and for its serial when the clock goes back.
        while (!spent_.empty() && spent_.begin()->second + kClockMarginMs < wall_ms) forget_oldest();
        if (spent_.size() >= kSpent) forget_oldest();
        spent_.emplace(pass.claims.serial, pass.claims.expires_wall_ms);
    } else {
        const auto found = renewals_.find(pass.renewal);
        if (found == renewals_.end()) return refuse("this renewal was used");
        by_age_.erase(found->second.age);
        renewals_.erase(found);
    }
    if (renewals_.size() >= kRenewals) {
        renewals_.erase(by_age_.begin()->second);
        by_age_.erase(by_age_.begin());
    }
    by_age_.emplace(++ages_, next);
    renewals_.emplace(std::move(next), Renewal{pass.claims, ages_});
    return {};
}

void TicketBook::forget_oldest() {
    forgotten_until_ = std::max(forgotten_until_, spent_.begin()->first);
    spent_.erase(spent_.begin());
}

void TicketBook::forget(const std::function<bool(const TicketClaims&)>& is_over) {
    for (auto at = renewals_.begin(); at != renewals_.end();) {
        if (!is_over(at->second.claims)) {
            ++at;
            continue;
        }
        by_age_.erase(at->second.age);
        at = renewals_.erase(at);
    }
}

}  // namespace understudy::node
