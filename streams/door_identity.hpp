// Who a door is: a key pair and a certificate that live in memory only, made anew with every start of its agent.
// Nobody vouches for the certificate; the manager tells whoever is to connect which key the door has.
#pragma once

#include <memory>
#include <string>

#include "protocol/result.hpp"

// OpenSSL's, which only the library itself includes.
struct ssl_ctx_st;
struct ssl_st;

namespace understudy::streams {

struct FreeTls {
    void operator()(ssl_ctx_st* context) const;
    void operator()(ssl_st* session) const;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, FreeTls>;
using TlsSession = std::unique_ptr<ssl_st, FreeTls>;

class DoorIdentity {
public:
    /// A new random one. Errors: `failed`, with OpenSSL's words.
    [[nodiscard]] static Result<DoorIdentity> make();

    /// The SHA-256 of its public key (SubjectPublicKeyInfo) in base64url: what the others are told.
    [[nodiscard]] const std::string& key() const { return key_; }

    /// A server's side of one connection; nothing when there is no memory.
    [[nodiscard]] TlsSession new_session() const;

private:
    DoorIdentity(TlsContext context, std::string key) : context_(std::move(context)), key_(std::move(key)) {}
    TlsContext context_;
    std::string key_;
};

/// What all clients share: they accept no certificate but the one whose key they were told.
[[nodiscard]] TlsContext make_client_context();

/// The key of the certificate that the other side has shown, in the form of DoorIdentity::key(); empty without one.
[[nodiscard]] std::string key_of_peer(const ssl_st* session);

/// What OpenSSL complains about on this thread, in its own words; forgets it.
[[nodiscard]] std::string tls_problem();

}  // namespace understudy::streams
