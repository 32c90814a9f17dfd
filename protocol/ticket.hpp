// Tickets: the manager signs claims, doors verify them offline (Ed25519 through libsodium).
// Text form: base64url(msgpack(claims)) "." base64url(signature). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy {

/// A signing key pair, both halves in base64url.
struct TicketKeys {
    std::string secret;
    std::string public_key;
};

/// New random keys.
[[nodiscard]] TicketKeys make_ticket_keys();

/// The text a bearer presents. Precondition: `secret` came from make_ticket_keys().
[[nodiscard]] Result<std::string> seal_ticket(const TicketClaims& claims, std::string_view secret);

/// The claims, if the signature holds. Says nothing about expiry, epochs or addressees: that is the
/// door's decision. Errors: `invalid` (not a ticket), `limit` (too long), `refused` (signature).
[[nodiscard]] Result<TicketClaims> open_ticket(std::string_view text, std::string_view public_key);

}  // namespace understudy
