// The ticket book: everything lets in once, and what it remembers is bounded.
#include "nodes/core/ticket_book.hpp"

#include <catch2/catch.hpp>

using namespace understudy;
using namespace understudy::node;

namespace {

TicketClaims ticket(std::uint64_t serial, std::int64_t expires_ms = 60'000) {
    TicketClaims claims;
    claims.serial = serial;
    claims.expires_wall_ms = expires_ms;
    return claims;
}

std::string why(const Result<TicketBook::Pass>& pass) { return pass ? "" : pass.error().message; }

}  // namespace

TEST_CASE("ticket book: a ticket lets in until its end and a margin for clocks, and once") {
    TicketBook book;
    CHECK(book.look_at(ticket(1), 60'000 + TicketBook::kClockMarginMs));
    CHECK_THAT(why(book.look_at(ticket(1), 60'001 + TicketBook::kClockMarginMs)), Catch::Contains("expired"));
    CHECK_THAT(why(book.look_at(ticket(1, 0), 5)), Catch::Contains("no end"));
    REQUIRE(book.spend(*book.look_at(ticket(1), 5), "renewal", 5));
    CHECK_THAT(why(book.look_at(ticket(1), 5)), Catch::Contains("was used"));
    CHECK(book.look_at(ticket(2), 5));
    CHECK(book.look_at("renewal")->claims == ticket(1));
}

TEST_CASE("ticket book: two with the same pass: the second is refused and changes nothing") {
    TicketBook book;
    const auto first = *book.look_at(ticket(1), 5);
    const auto second = *book.look_at(ticket(1), 5);
    REQUIRE(book.spend(first, "a", 5));
    CHECK_FALSE(book.spend(second, "b", 5));
    CHECK_FALSE(book.look_at("b"));
    const auto again = *book.look_at("a");
    const auto thief = *book.look_at("a");
    REQUIRE(book.spend(again, "c", 5));
    CHECK_FALSE(book.spend(thief, "d", 5));
    CHECK_FALSE(book.look_at("a"));
    CHECK(book.look_at("c"));
    CHECK(book.renewals() == 1);
}

TEST_CASE("ticket book: what it forgets for want of room is refused, not taken twice") {
    TicketBook book;
    for (std::uint64_t serial = 1; serial <= TicketBook::kSpent + 1; ++serial) {
        const auto claims = ticket(serial, 60'000 + static_cast<std::int64_t>(serial));
        REQUIRE(book.spend(*book.look_at(claims, 5), "r" + std::to_string(serial), 5));
    }
    CHECK(book.spent() == TicketBook::kSpent);
    CHECK(book.renewals() == TicketBook::kRenewals);
    CHECK_FALSE(book.look_at(ticket(1, 60'001), 5));
    CHECK_FALSE(book.look_at("r1"));
    CHECK(book.look_at("r" + std::to_string(TicketBook::kSpent + 1)));
}

TEST_CASE("ticket book: renewals of what is over are forgotten") {
    TicketBook book;
    REQUIRE(book.spend(*book.look_at(ticket(1), 5), "old", 5));
    REQUIRE(book.spend(*book.look_at(ticket(2), 5), "new", 5));
    book.forget([](const TicketClaims& claims) { return claims.serial == 1; });
    CHECK_FALSE(book.look_at("old"));
    CHECK(book.look_at("new"));
}

TEST_CASE("ticket book: a clock that jumps back makes no used ticket good again, and fresh ones are taken at once") {
    TicketBook book;
    const std::int64_t before = 10'000'000;
    REQUIRE(book.spend(*book.look_at(ticket(7, before + 60'000), before), "a", before));
    const std::int64_t later = before + 200'000;  // the first one is expired now, and forgotten with the next
    REQUIRE(book.spend(*book.look_at(ticket(8, later + 60'000), later), "b", later));
    CHECK(book.spent() == 1);
    const std::int64_t back = before - 600'000;
    CHECK_FALSE(book.look_at(ticket(7, before + 60'000), back));
    CHECK_FALSE(book.look_at(ticket(8, later + 60'000), back));
    CHECK_FALSE(book.look_at(ticket(6, before + 60'000), back));
    CHECK(book.look_at(ticket(9, back + 60'000), back));
}
