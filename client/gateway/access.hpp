// Who asks: from what a request carries to an account and its role, and whether that still holds. Belongs to the
// gateway's thread; the time is given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/gateway/accounts.hpp"
#include "client/gateway/sessions.hpp"

namespace understudy::gateway {

/// Somebody, as a request showed. Role `none`: nobody who is known.
struct Caller {
    std::string name;
    Role role = Role::none;
    Terminals terminals;
    std::string session;  ///< hash of its token; empty: a program with a key
    std::string stamp;    ///< of the account when it was looked up
};

class Access {
public:
    explicit Access(std::string state_dir) : state_dir_(std::move(state_dir)) {}

    /// Reads accounts and sessions. Damaged sessions are forgotten: people log in again. Errors: load_accounts()'s.
    [[nodiscard]] Result<> load();
    /// Reads the accounts again. On failure those known before stay.
    [[nodiscard]] Result<> reload_accounts();

    /// A bearer key counts before a cookie, and a wrong one is not made up for by a cookie.
    [[nodiscard]] Caller caller_of(std::string_view authorization, std::string_view cookies, std::string_view cookie_name, std::int64_t now_s);

    /// False once the session ended or ran out, or the account is gone or another one.
    [[nodiscard]] bool still(const Caller& caller, std::int64_t now_s) const;

    [[nodiscard]] const AccountBook& book() const { return book_; }
    [[nodiscard]] Sessions& sessions() { return sessions_; }
    [[nodiscard]] std::string sessions_path() const { return state_dir_ + "/sessions"; }

private:
    [[nodiscard]] Caller caller_of_token(std::string_view token, std::int64_t now_s);
    std::string state_dir_;
    AccountBook book_;
    Sessions sessions_;
};

/// The values of the cookies of that name in a Cookie header.
[[nodiscard]] std::vector<std::string_view> cookies_named(std::string_view header, std::string_view name);

}  // namespace understudy::gateway
