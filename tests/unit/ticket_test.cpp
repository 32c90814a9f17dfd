// Claims about tickets.
#include <catch2/catch.hpp>

#include "protocol/ticket.hpp"

using namespace understudy;

TEST_CASE("ticket: what the manager sealed opens at the door, unchanged") {
    const TicketKeys keys = make_ticket_keys();
    TicketClaims claims;
    claims.purpose = Purpose::desktop;
    claims.terminal = TerminalId(3);
    claims.door = NodeId(9);
    claims.epoch = 12;
    const auto text = seal_ticket(claims, keys.secret);
    REQUIRE(text);
    const auto opened = open_ticket(*text, keys.public_key);
    REQUIRE(opened);
    CHECK(*opened == claims);
}

TEST_CASE("ticket: a changed, foreign or cut ticket is refused") {
    const TicketKeys keys = make_ticket_keys();
    const std::string text = seal_ticket(TicketClaims{}, keys.secret).value();
    CHECK_FALSE(open_ticket(text, make_ticket_keys().public_key));
    for (std::size_t at = 0; at < text.size(); at += 7) {
        std::string changed = text;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        CHECK_FALSE(open_ticket(changed, keys.public_key));
        CHECK_FALSE(open_ticket(text.substr(0, at), keys.public_key));
    }
    CHECK(open_ticket(std::string(5000, 'A'), keys.public_key).error().code == ErrorCode::limit);
    for (const char* half : {"", ".", "a.", ".a", ".."}) CHECK_FALSE(open_ticket(half, keys.public_key));
}
