// Certificates of the gateway's own: a certificate authority that is made once, and the certificate it signs for
// the names and addresses the gateway is reached by, renewed long before it ends. Elliptic curve P-256 with
// SHA-256, which every browser knows. Plain functions on files; the time is given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::gateway {

inline constexpr std::int64_t kAuthorityDays = 3650;
inline constexpr std::int64_t kLeafDays = 90;
inline constexpr std::int64_t kRenewDays = 30;  ///< a certificate that ends sooner is made anew

/// Files of one certificate, ready for a TLS server.
struct CertificateFiles {
    std::string chain;      ///< PEM, the server's own first
    std::string key;        ///< PEM
    std::string authority;  ///< PEM of our own authority, for people to trust; empty: somebody else's signed it
};

/// Makes what is missing in `folder`: authority.pem and server.pem (certificate and key, for the gateway alone) and
/// authority.crt (for everybody). The server's certificate is made anew when it ends within kRenewDays, is damaged,
/// was signed by another authority, or is for other names; the authority when what it signs would outlive it.
/// Precondition: `names` (host names and IP addresses) is not empty and holds each once. Errors: `failed`,
/// `refused` (others may read a key), `damaged` (the authority's file; it is not overwritten).
[[nodiscard]] Result<CertificateFiles> own_certificate(const std::string& folder, const std::vector<std::string>& names,
                                                       std::int64_t now_s);

/// What people reach a gateway by that listens on `address`: itself; on loopback also "localhost" and both
/// addresses; on every address, all of the machine's and its host name.
[[nodiscard]] std::vector<std::string> names_of_listener(const std::string& address);

/// What people compare: SHA-256 of the first certificate in a PEM text, "AB:CD:…". Errors: `damaged`.
[[nodiscard]] Result<std::string> fingerprint_of(const std::string& pem);

/// The last moment of the first certificate in a PEM text, Unix seconds. Errors: `damaged`.
[[nodiscard]] Result<std::int64_t> end_of(const std::string& pem);

}  // namespace understudy::gateway
