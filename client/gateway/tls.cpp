// See tls.hpp.
#include "client/gateway/tls.hpp"

#include <fstream>
#include <iterator>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <openssl/ssl.h>

#include "client/gateway/certificates.hpp"
#include "client/gateway/private_file.hpp"

namespace understudy::gateway {
namespace {

using boost::asio::buffer;
using Context = boost::asio::ssl::context;
using boost::system::error_code;

constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";  // of TLS 1.2; those of 1.3 are all fine
constexpr std::string_view kProtocol("\x08http/1.1", 9);

/// Whoever offers other protocols only would misunderstand us: better no connection.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned int in_length, void*) {
    unsigned char* chosen = nullptr;
    const auto* ours = reinterpret_cast<const unsigned char*>(kProtocol.data());
    if (SSL_select_next_proto(&chosen, out_length, ours, static_cast<unsigned int>(kProtocol.size()), in, in_length) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

Result<CertificateFiles> given_certificate(const GatewayConfiguration& configuration) {
    std::ifstream chain(configuration.certificate);
    if (!chain) return failure(ErrorCode::not_found, "cannot read gateway.certificate " + configuration.certificate);
    auto key = read_private_file(configuration.key, Readers::group);
    if (!key) return tl::unexpected(key.error());
    if (!*key) return failure(ErrorCode::not_found, "there is no gateway.key " + configuration.key);
    return CertificateFiles{std::string(std::istreambuf_iterator<char>(chain), {}), std::move(**key), {}};
}

}  // namespace

Result<TlsIdentity> make_tls_identity(const GatewayConfiguration& configuration, std::int64_t now_s) {
    const bool given = !configuration.certificate.empty();
    const auto names = configuration.names.empty() ? names_of_listener(configuration.address) : configuration.names;
    const auto files = given ? given_certificate(configuration) : own_certificate(configuration.state_dir, names, now_s);
    if (!files) return tl::unexpected(files.error());
    const auto complaint = [&](const std::string& why) {
        return failure(ErrorCode::invalid, "the certificate " + configuration.certificate + " with the key " + configuration.key + " cannot be used: " + why);
    };
    const auto ends = end_of(files->chain);
    if (!ends) return complaint(ends.error().message);
    if (*ends <= now_s) return complaint("it has run out; get a new one, then restart the gateway or send it SIGHUP");
    const auto fingerprint = fingerprint_of(given ? files->chain : files->authority);
    if (!fingerprint) return complaint(fingerprint.error().message);

    auto context = std::make_unique<Context>(Context::tls_server);
    error_code error;
    context->use_certificate_chain(buffer(files->chain), error);
    if (!error) context->use_private_key(buffer(files->key), Context::pem, error);
    if (error) return complaint(error.message());
    SSL_CTX* native = context->native_handle();
    SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // most connections of a console rest
    if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(native, kCiphers) != 1) {
        return failure(ErrorCode::failed, "this OpenSSL knows none of the ciphers " + std::string(kCiphers));
    }
    SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
    return TlsIdentity{std::move(context), files->authority, *fingerprint, *ends};
}

}  // namespace understudy::gateway
