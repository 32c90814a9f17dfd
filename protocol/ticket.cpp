// See ticket.hpp. Pure functions; any thread.
#include "protocol/ticket.hpp"

#include <sodium.h>

#include <array>

#include "protocol/limits.hpp"
#include "protocol/pack.hpp"

namespace understudy {
namespace {

constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

std::string to_text(BytesView bytes) {
    std::string text(sodium_base64_ENCODED_LEN(bytes.size(), kVariant), '\0');
    sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), kVariant);
    text.resize(text.size() - 1);  // libsodium counts the terminator
    return text;
}

Result<Bytes> from_text(std::string_view text, const char* what) {
    if (text.empty()) return Bytes{};  // libsodium wants to be given some place, for nothing as well
    Bytes bytes(text.size());
    std::size_t length = 0;
    if (sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &length, nullptr,
                          kVariant) != 0) {
        return failure(ErrorCode::invalid, std::string(what) + " is not base64url");
    }
    bytes.resize(length);
    return bytes;
}

}  // namespace

TicketKeys make_ticket_keys() {
    Bytes secret(crypto_sign_SECRETKEYBYTES);
    Bytes open(crypto_sign_PUBLICKEYBYTES);
    if (sodium_init() < 0) return {};
    crypto_sign_keypair(open.data(), secret.data());
    return {to_text(secret), to_text(open)};
}

Result<std::string> seal_ticket(const TicketClaims& claims, std::string_view secret) {
    const auto key = from_text(secret, "the ticket signing key");
    if (!key) return tl::unexpected(key.error());
    if (key->size() != crypto_sign_SECRETKEYBYTES) {
        return failure(ErrorCode::invalid, "the ticket signing key has a wrong length");
    }
    Bytes body;
    pack::append(body, claims);
    std::array<std::uint8_t, crypto_sign_BYTES> signature{};
    crypto_sign_detached(signature.data(), nullptr, body.data(), body.size(), key->data());
    return to_text(body) + "." + to_text(signature);
}

Result<TicketClaims> open_ticket(std::string_view text, std::string_view public_key) {
    if (text.size() > limits::kTicketBytes) return failure(ErrorCode::limit, "the ticket is too long");
    const auto dot = text.find('.');
    if (dot == std::string_view::npos) return failure(ErrorCode::invalid, "not a ticket");
    const auto body = from_text(text.substr(0, dot), "the ticket");
    if (!body) return tl::unexpected(body.error());
    const auto signature = from_text(text.substr(dot + 1), "the ticket's signature");
    if (!signature) return tl::unexpected(signature.error());
    const auto key = from_text(public_key, "the ticket key");
    if (!key) return tl::unexpected(key.error());
    if (key->size() != crypto_sign_PUBLICKEYBYTES || signature->size() != crypto_sign_BYTES ||
        crypto_sign_verify_detached(signature->data(), body->data(), body->size(), key->data()) != 0) {
        return failure(ErrorCode::refused, "the ticket's signature does not hold");
    }
    return pack::parse<TicketClaims>(*body);
}

}  // namespace understudy
