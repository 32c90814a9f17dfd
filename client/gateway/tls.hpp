// The gateway's side of TLS: which certificate it shows, and what it accepts. Belongs to the gateway's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "client/gateway/configuration.hpp"
#include "protocol/result.hpp"

namespace understudy::gateway {

/// What connections are answered with from now on.
struct TlsIdentity {
    std::unique_ptr<boost::asio::ssl::context> context;  ///< connections that use it keep it alive by themselves
    std::string authority;     ///< PEM of our own authority, to be given to people; empty: a given certificate
    std::string fingerprint;   ///< of our own authority, else of the given certificate
    std::int64_t ends_s = 0;   ///< Unix seconds
};

/// Reads the given certificate, or makes and renews one of our own. TLS 1.2 and 1.3, forward secrecy and
/// authenticated ciphers only, no renegotiation, no compression, HTTP/1.1. Errors: as own_certificate(), and
/// `not_found`, `invalid` (the key is not the certificate's; in the library's words).
[[nodiscard]] Result<TlsIdentity> make_tls_identity(const GatewayConfiguration& configuration, std::int64_t now_s);

}  // namespace understudy::gateway
