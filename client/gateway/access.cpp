// See access.hpp.
#include "client/gateway/access.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <utility>

namespace understudy::gateway {
namespace {

using Digest = std::array<unsigned char, crypto_generichash_BYTES>;

Digest digest_of(std::string_view text, std::string_view key) {
    Digest digest{};
    // BLAKE2b keyed; keys longer than it takes are hashed first by the caller.
    crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                       reinterpret_cast<const unsigned char*>(key.data()), key.size());
    return digest;
}

bool same(const Digest& one, const Digest& other) { return sodium_memcmp(one.data(), other.data(), one.size()) == 0; }

std::string hex(const Digest& digest) {
    std::string text(digest.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
    text.pop_back();
    return text;
}

}  // namespace

Access::Access(std::string key, std::string observer_key) : key_(std::move(key)), observer_key_(std::move(observer_key)) {
    assert(!key_.empty());
    const int ready = sodium_init();
    assert(ready >= 0);
    static_cast<void>(ready);
}

Right Access::right_of_key(std::string_view key) const {
    const Digest given = digest_of(key, {});
    const bool operates = same(given, digest_of(key_, {}));
    const bool observes = same(given, digest_of(observer_key_, {})) && !observer_key_.empty();
    return operates ? Right::operate : observes ? Right::observe : Right::none;
}

std::string Access::signature_of(Right right, std::string_view expiry) const {
    const Digest secret = digest_of(right == Right::operate ? key_ : observer_key_, {});
    const std::string_view secret_text(reinterpret_cast<const char*>(secret.data()), secret.size());
    const std::string what = right == Right::operate ? "understudy cookie until " : "understudy observer until ";
    return hex(digest_of(what + std::string(expiry), secret_text));
}

std::string Access::make_cookie(Right right, std::int64_t now_s) const {
    assert(right != Right::none);
    const std::string expiry = std::to_string(now_s + kCookieSeconds);
    return expiry + "." + signature_of(right, expiry);
}

Right Access::right_of_value(std::string_view value, std::int64_t now_s) const {
    const auto dot = value.find('.');
    if (dot == std::string_view::npos) return Right::none;
    std::int64_t expiry_s = 0;
    std::from_chars(value.data(), value.data() + dot, expiry_s);
    if (expiry_s <= now_s) return Right::none;
    const std::string_view given = value.substr(dot + 1);
    for (const Right right : {Right::operate, Right::observe}) {
        if (right == Right::observe && observer_key_.empty()) continue;
        const std::string expected = signature_of(right, value.substr(0, dot));
        if (given.size() == expected.size() && sodium_memcmp(given.data(), expected.data(), given.size()) == 0) return right;
    }
    return Right::none;
}

Right Access::right_of_cookies(std::string_view header, std::int64_t now_s) const {
    Right best = Right::none;
    while (!header.empty()) {
        const auto end = header.find(';');
        std::string_view one = header.substr(0, end);
        header = end == std::string_view::npos ? std::string_view() : header.substr(end + 1);
        one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
        if (!one.starts_with(kCookieName) || one.substr(kCookieName.size(), 1) != "=") continue;
        best = std::max(best, right_of_value(one.substr(kCookieName.size() + 1), now_s));
    }
    return best;
}

void GuessLimit::refill(Time now) {
    const double seconds = std::chrono::duration<double>(now - filled_).count();
    left_ = std::min(10.0, left_ + seconds);
    filled_ = now;
}

bool GuessLimit::allows(Time now) {
    refill(now);
    return left_ >= 1;
}

void GuessLimit::wrong(Time now) {
    refill(now);
    left_ = std::max(0.0, left_ - 1);
}

}  // namespace understudy::gateway
