// The people and programs that may use the gateway, as they stand in its file: accounts with a password each, and
// keys for programs. Neither passwords nor keys can be read from it. Values and functions; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/gateway/roles.hpp"
#include "protocol/result.hpp"

namespace understudy::gateway {

inline constexpr std::size_t kShortestPassword = 10;
inline constexpr std::size_t kLongestPassword = 1024;
inline constexpr std::size_t kLongestAccountName = 64;

enum class AccountKind { person, program };

struct Account {
    std::string name;
    AccountKind kind = AccountKind::person;
    Role role = Role::none;
    Terminals terminals;          ///< see may_open()
    std::string secret;           ///< what verifies the password (argon2id) or the key (BLAKE2b); not the secret itself
    std::int64_t changed_s = 0;   ///< Unix seconds of the last change
    bool operator==(const Account&) const = default;

    /// Changes with the password, the role and the terminals: what was granted under another stamp is void.
    [[nodiscard]] std::string stamp() const;
};

struct AccountBook {
    std::vector<Account> accounts;  ///< by name; a person and a program may share one
    [[nodiscard]] const Account* find(AccountKind kind, std::string_view name) const;
    [[nodiscard]] const Account* find_key(std::string_view key) const;
};

/// `path` stands for the file in messages. Errors: `damaged`.
[[nodiscard]] Result<AccountBook> parse_accounts(std::string_view text, const std::string& path);
[[nodiscard]] std::string text_of(const AccountBook& book);

[[nodiscard]] std::string accounts_path(const std::string& state_dir);

/// No file: no accounts. Errors: `damaged`, and as read_private_file().
[[nodiscard]] Result<AccountBook> load_accounts(const std::string& state_dir);

/// Changes the file while nobody else does. What `change` refuses is not written. Errors: its, load_accounts(),
/// and `failed`.
[[nodiscard]] Result<> change_accounts(const std::string& state_dir, const std::function<Result<>(AccountBook&)>& change);

/// Whether an account may be called that: letters, digits and "._-@", not too long. Errors: `invalid`.
[[nodiscard]] Result<> check_account_name(std::string_view name);

/// Long enough, and not the name itself. Length is what counts; nothing else is demanded. Errors: `invalid`.
[[nodiscard]] Result<> check_new_password(std::string_view name, std::string_view password);

/// Takes about a tenth of a second and 64 MiB, on purpose. Errors: `failed` (no memory).
[[nodiscard]] Result<std::string> hash_password(const std::string& password);

/// As slow; takes the same time for every wrong password, and for a `secret` of nobody (empty).
[[nodiscard]] bool is_password(const std::string& secret, const std::string& password);

/// Random text for a program, or a password for somebody who has none yet: too much of it to be guessed.
[[nodiscard]] std::string make_key();
[[nodiscard]] std::string make_password();
/// Fast, because a key cannot be guessed as a password can.
[[nodiscard]] std::string hash_key(std::string_view key);

}  // namespace understudy::gateway
