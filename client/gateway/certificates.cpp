// See certificates.hpp.
#include "client/gateway/certificates.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <ctime>
#include <memory>
#include <optional>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "client/gateway/private_file.hpp"

namespace understudy::gateway {
namespace {

constexpr std::int64_t kDay = 24 * 3600;
constexpr std::int64_t kClockSkew = 3600;  ///< of a browser that is behind
constexpr const char* kAuthorityName = "Understudy gateway authority";

template <auto release>
struct Releases {
    template <class T>
    void operator()(T* thing) const { release(thing); }
};
using Certificate = std::unique_ptr<X509, Releases<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Releases<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Releases<BIO_free_all>>;

tl::unexpected<Error> no_crypto(const std::string& what) {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    return failure(ErrorCode::failed, "cannot " + what + ": " + text.data());
}

Bio reading(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long length = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(length)};
}

std::string pem_of(X509* certificate) {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate);
    return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio.get());
}

Certificate certificate_in(const std::string& pem) {
    return Certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
}

Key key_in(const std::string& pem) { return Key(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr)); }

struct Pair {
    Certificate certificate;
    Key key;
};

/// The file's certificate and key; nothing if there is no file. One file, so that both are put in place in one step.
Result<std::optional<Pair>> read_pair(const std::string& path) {
    const auto text = read_private_file(path);
    if (!text) return tl::unexpected(text.error());
    if (!*text) return std::optional<Pair>{};
    Pair pair{certificate_in(**text), key_in(**text)};
    const bool belong = pair.certificate && pair.key && X509_check_private_key(pair.certificate.get(), pair.key.get()) == 1;
    ERR_clear_error();
    if (!belong) {
        return failure(ErrorCode::damaged, path + " does not hold a certificate and its key: put it back from a copy, or remove it so that a new one is made");
    }
    return std::optional(std::move(pair));
}

Result<> write_pair(const std::string& path, const Pair& pair) {
    return replace_private_file(path, pem_of(pair.certificate.get()) + pem_of(pair.key.get()));
}

bool extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, Releases<X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// What both kinds have: key, serial number, dates, names. Signed by nobody yet.
Result<Pair> unsigned_pair(const std::string& name, std::int64_t now_s, std::int64_t days) {
    Pair pair{Certificate(X509_new()), Key(EVP_EC_gen("P-256"))};
    std::array<unsigned char, 16> serial{};
    if (!pair.certificate || !pair.key || RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return no_crypto("make a key");
    serial[0] &= 0x7F;
    const std::unique_ptr<BIGNUM, Releases<BN_free>> number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
    X509* made = pair.certificate.get();
    X509_NAME* subject = X509_get_subject_name(made);
    const bool fine = number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(made)) != nullptr && X509_set_version(made, 2) == 1 &&
                      ASN1_TIME_set(X509_getm_notBefore(made), now_s - kClockSkew) != nullptr &&
                      ASN1_TIME_set(X509_getm_notAfter(made), now_s + days * kDay) != nullptr && X509_set_pubkey(made, pair.key.get()) == 1 &&
                      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1;
    if (!fine) return no_crypto("make a certificate");
    return pair;
}

Result<Pair> make_authority(std::int64_t now_s) {
    auto pair = unsigned_pair(kAuthorityName, now_s, kAuthorityDays);
    if (!pair) return pair;
    X509* made = pair->certificate.get();
    const bool fine = X509_set_issuer_name(made, X509_get_subject_name(made)) == 1 &&
                      extend(made, made, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                      extend(made, made, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                      extend(made, made, NID_subject_key_identifier, "hash") && X509_sign(made, pair->key.get(), EVP_sha256()) > 0;
    if (!fine) return no_crypto("make a certificate authority");
    return pair;
}

bool is_address(const std::string& name) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    return ::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 || ::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

std::string alternative_names(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
    return text;
}

Result<Pair> make_leaf(const Pair& authority, const std::vector<std::string>& names, std::int64_t now_s) {
    auto pair = unsigned_pair(names.front(), now_s, kLeafDays);
    if (!pair) return pair;
    X509* made = pair->certificate.get();
    X509* issuer = authority.certificate.get();
    const bool fine = X509_set_issuer_name(made, X509_get_subject_name(issuer)) == 1 &&
                      extend(made, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
                      extend(made, issuer, NID_key_usage, "critical,digitalSignature") && extend(made, issuer, NID_ext_key_usage, "serverAuth") &&
                      extend(made, issuer, NID_subject_key_identifier, "hash") && extend(made, issuer, NID_authority_key_identifier, "keyid:always") &&
                      extend(made, issuer, NID_subject_alt_name, alternative_names(names)) && X509_sign(made, authority.key.get(), EVP_sha256()) > 0;
    if (!fine) return no_crypto("make a certificate for " + alternative_names(names));
    return pair;
}

bool is_for(X509* certificate, const std::vector<std::string>& names) {
    const std::unique_ptr<GENERAL_NAMES, Releases<GENERAL_NAMES_free>> there(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    if (!there || static_cast<std::size_t>(sk_GENERAL_NAME_num(there.get())) != names.size()) return false;
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        return is_address(name) ? X509_check_ip_asc(certificate, name.c_str(), 0) == 1
                                : X509_check_host(certificate, name.c_str(), name.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
    });
}

bool ends_before(X509* certificate, std::int64_t moment_s) {
    time_t moment = moment_s;
    return X509_cmp_time(X509_get0_notAfter(certificate), &moment) <= 0;
}

}  // namespace

Result<CertificateFiles> own_certificate(const std::string& folder, const std::vector<std::string>& names, std::int64_t now_s) {
    auto known = read_pair(folder + "/authority.pem");
    if (!known) return tl::unexpected(known.error());
    std::optional<Pair> authority = std::move(*known);
    // What it signs must not outlive it.
    if (!authority || ends_before(authority->certificate.get(), now_s + kLeafDays * kDay)) {
        auto made = make_authority(now_s);
        if (!made) return tl::unexpected(made.error());
        if (auto written = write_pair(folder + "/authority.pem", *made); !written) return tl::unexpected(written.error());
        authority = std::move(*made);
    }
    const std::string authority_pem = pem_of(authority->certificate.get());
    if (auto written = replace_private_file(folder + "/authority.crt", authority_pem, Readable::by_all); !written) return tl::unexpected(written.error());
    auto served = read_pair(folder + "/server.pem");
    // A damaged one is nobody's loss: nothing but our own authority vouches for it.
    if (!served && served.error().code != ErrorCode::damaged) return tl::unexpected(served.error());
    std::optional<Pair> leaf = served ? std::move(*served) : std::nullopt;
    const bool stays = leaf && !ends_before(leaf->certificate.get(), now_s + kRenewDays * kDay) && is_for(leaf->certificate.get(), names) &&
                       X509_verify(leaf->certificate.get(), authority->key.get()) == 1;
    ERR_clear_error();
    if (!stays) {
        auto made = make_leaf(*authority, names, now_s);
        if (!made) return tl::unexpected(made.error());
        if (auto written = write_pair(folder + "/server.pem", *made); !written) return tl::unexpected(written.error());
        leaf = std::move(*made);
    }
    return CertificateFiles{pem_of(leaf->certificate.get()) + authority_pem, pem_of(leaf->key.get()), authority_pem};
}

std::vector<std::string> names_of_listener(const std::string& address) {
    const bool everywhere = address == "0.0.0.0" || address == "::";
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
        if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    };
    if (!everywhere) add(address);
    if (everywhere) {
        std::array<char, HOST_NAME_MAX + 1> host{};
        if (::gethostname(host.data(), host.size() - 1) == 0) add(host.data());
        ifaddrs* list = nullptr;
        if (::getifaddrs(&list) == 0) {
            for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
                if (one->ifa_addr == nullptr) continue;
                std::array<char, INET6_ADDRSTRLEN> text{};
                const int family = one->ifa_addr->sa_family;
                if (family == AF_INET) ::inet_ntop(family, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text.data(), text.size());
                // Of the addresses of the sixth version only those that mean the same on every link.
                if (family == AF_INET6) {
                    const auto& six = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
                    if (!IN6_IS_ADDR_LINKLOCAL(&six)) ::inet_ntop(family, &six, text.data(), text.size());
                }
                add(text.data());
            }
            ::freeifaddrs(list);
        }
    }
    if (everywhere || address == "::1" || address.starts_with("127.")) {
        for (const char* name : {"localhost", "127.0.0.1", "::1"}) add(name);
    }
    return names;
}

Result<std::string> fingerprint_of(const std::string& pem) {
    const Certificate certificate = certificate_in(pem);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest.data(), &length) != 1) {
        ERR_clear_error();
        return failure(ErrorCode::damaged, "this is no certificate in PEM form");
    }
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
        if (i > 0) text += ':';
        text += kDigits[digest[i] >> 4];
        text += kDigits[digest[i] & 15];
    }
    return text;
}

Result<std::int64_t> end_of(const std::string& pem) {
    const Certificate certificate = certificate_in(pem);
    std::tm broken{};
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &broken) != 1) {
        ERR_clear_error();
        return failure(ErrorCode::damaged, "this is no certificate in PEM form");
    }
    return static_cast<std::int64_t>(::timegm(&broken));
}

}  // namespace understudy::gateway
