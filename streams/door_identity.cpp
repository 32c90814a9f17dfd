// See door_identity.hpp. No state; any thread.
//
// TLS 1.3 alone, without tickets, resumption and early data: a stream lives long and a door forgets whom it knew.
// ChaCha20 comes first because most doors are in machines whose processor is emulated or older: without instructions
// for AES it is several times faster, with them it is still far above what a stream carries. Ed25519 signs without
// random numbers, so that a machine copied from a frozen one cannot give its key away by using one twice.
#include "streams/door_identity.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <string_view>
#include <utility>

namespace understudy::streams {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// Nobody looks at the dates: the key is told anew with every start.
constexpr long kBackdated_s = -24L * 3600;
constexpr long kValid_s = 100L * 365 * 24 * 3600;

std::string base64url(const unsigned char* bytes, std::size_t count) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    unsigned bits = 0;
    unsigned collected = 0;
    for (std::size_t at = 0; at < count; ++at) {
        bits = bits << 8U | bytes[at];
        for (collected += 8; collected >= 6; collected -= 6) text += kDigits[bits >> (collected - 6) & 63U];
    }
    if (collected > 0) text += kDigits[bits << (6 - collected) & 63U];
    return text;
}

std::string key_of(X509* certificate) {
    unsigned char* encoded = nullptr;
    const int length = certificate == nullptr ? 0 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded);
    if (length <= 0) return {};
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned digest_length = 0;
    const bool done = EVP_Digest(encoded, static_cast<std::size_t>(length), digest.data(), &digest_length, EVP_sha256(), nullptr) == 1;
    OPENSSL_free(encoded);
    return done ? base64url(digest.data(), digest_length) : std::string();
}

Certificate self_signed(EVP_PKEY* key) {
    Certificate certificate(X509_new(), &X509_free);
    if (!certificate) return certificate;
    X509_NAME* const name = X509_get_subject_name(certificate.get());
    const auto* words = reinterpret_cast<const unsigned char*>("understudy door");
    const bool made = X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                      ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) == 1 &&
                      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), kBackdated_s) != nullptr &&
                      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValid_s) != nullptr &&
                      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, words, -1, -1, 0) == 1 &&
                      X509_set_issuer_name(certificate.get(), name) == 1 && X509_set_pubkey(certificate.get(), key) == 1 &&
                      X509_sign(certificate.get(), key, nullptr) > 0;  // Ed25519 brings its own digest
    if (!made) certificate.reset();
    return certificate;
}

bool set_rules(SSL_CTX* context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(context, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519") == 1 && SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1;
}

}  // namespace

void FreeTls::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void FreeTls::operator()(ssl_st* session) const { SSL_free(session); }

std::string tls_problem() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "unknown to OpenSSL";
    const char* const words = ERR_reason_error_string(code);
    return words != nullptr ? words : "OpenSSL error " + std::to_string(code);
}

Result<DoorIdentity> DoorIdentity::make() {
    const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free);
    const auto certificate = key ? self_signed(key.get()) : Certificate(nullptr, &X509_free);
    TlsContext context(SSL_CTX_new(TLS_server_method()));
    if (!certificate || !context || !set_rules(context.get()) || SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
        return failure(ErrorCode::failed, "can't make a key for the door: " + tls_problem());
    }
    return DoorIdentity(std::move(context), key_of(certificate.get()));
}

TlsSession DoorIdentity::new_session() const {
    TlsSession session(SSL_new(context_.get()));
    if (session) SSL_set_accept_state(session.get());
    return session;
}

TlsContext make_client_context() {
    TlsContext context(SSL_CTX_new(TLS_client_method()));
    if (context && !set_rules(context.get())) context.reset();
    return context;
}

std::string key_of_peer(const ssl_st* session) { return key_of(SSL_get0_peer_certificate(session)); }

}  // namespace understudy::streams
