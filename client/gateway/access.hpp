// Who may use the gateway: the access key, and the cookie a browser gets for it. The cookie is a signed
// date, so that it holds across restarts and several gateways with the same key, without any memory.
// Plain values; the time is given.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::gateway {

inline constexpr std::string_view kCookieName = "understudy";
inline constexpr std::int64_t kCookieSeconds = 7 * 24 * 3600;

class Access {
public:
    /// Precondition: `key` is not empty.
    explicit Access(std::string key);

    /// Takes the same time for every wrong key.
    [[nodiscard]] bool key_is_right(std::string_view key) const;

    /// Value for a new cookie. `now_s`: Unix seconds.
    [[nodiscard]] std::string make_cookie(std::int64_t now_s) const;

    /// True if the value of a Cookie header holds a cookie of ours that is valid at `now_s`.
    [[nodiscard]] bool cookies_are_right(std::string_view cookie_header, std::int64_t now_s) const;

private:
    [[nodiscard]] std::string signature_of(std::string_view expiry) const;
    std::string key_;
};

/// Slows down guessing: at most ten wrong keys at once, then one per second. One for the whole gateway,
/// because behind a proxy all browsers have the same address.
class GuessLimit {
public:
    using Time = std::chrono::steady_clock::time_point;
    /// True if one more attempt may be looked at.
    [[nodiscard]] bool allows(Time now);
    void wrong(Time now);

private:
    void refill(Time now);
    double left_ = 10;
    Time filled_{};
};

}  // namespace understudy::gateway
