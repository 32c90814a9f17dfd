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

/// What somebody may do. An observer sees the console and asks questions; an operator acts, and opens terminals.
enum class Right { none, observe, operate };

class Access {
public:
    /// `observer_key` may be empty: then there are no observers. Precondition: `key` is not empty.
    explicit Access(std::string key, std::string observer_key = {});

    /// Takes the same time for every wrong key.
    [[nodiscard]] Right right_of_key(std::string_view key) const;

    /// Value for a new cookie. `now_s`: Unix seconds. Precondition: `right` is not `none`.
    [[nodiscard]] std::string make_cookie(Right right, std::int64_t now_s) const;

    /// The highest right that a cookie of ours in the value of a Cookie header gives at `now_s`. A changed key
    /// ends the cookies it gave.
    [[nodiscard]] Right right_of_cookies(std::string_view cookie_header, std::int64_t now_s) const;

private:
    [[nodiscard]] std::string signature_of(Right right, std::string_view expiry) const;
    [[nodiscard]] Right right_of_value(std::string_view value, std::int64_t now_s) const;
    std::string key_;
    std::string observer_key_;
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
