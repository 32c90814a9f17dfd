// See accounts.hpp.
#include "client/gateway/accounts.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>
#include <sodium.h>

#include "client/gateway/private_file.hpp"
#include "streams/owned_fd.hpp"

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;

constexpr int kAccountsFormat = 1;
constexpr unsigned long long kPasses = crypto_pwhash_OPSLIMIT_INTERACTIVE;
constexpr std::size_t kMemory = crypto_pwhash_MEMLIMIT_INTERACTIVE;
constexpr std::string_view kKeyStart = "usk_";  // so that a key that leaked can be looked for
// Easy to read out and to type: no 0, O, 1, l, I.
constexpr std::string_view kAlphabet = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

void start_sodium() {
    const int ready = sodium_init();
    assert(ready >= 0);
    static_cast<void>(ready);
}

std::string random_text(std::size_t length) {
    start_sodium();
    std::string text;
    for (std::size_t i = 0; i < length; ++i) text += kAlphabet[randombytes_uniform(static_cast<std::uint32_t>(kAlphabet.size()))];
    return text;
}

std::string digest_of(std::string_view text) {
    start_sodium();
    std::array<unsigned char, crypto_generichash_BYTES> digest{};
    crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(), nullptr, 0);
    std::string hex(digest.size() * 2 + 1, '\0');
    sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
    hex.pop_back();
    return hex;
}

const char* to_string(AccountKind kind) { return kind == AccountKind::person ? "person" : "program"; }

Result<Account> account_of(const Json& json) {
    const auto wrong = [](const std::string& what) { return failure(ErrorCode::damaged, what); };
    const auto text = [&](const char* field) { return json.contains(field) && json[field].is_string() ? json[field].get<std::string>() : std::string(); };
    Account account;
    account.name = text("name");
    if (!check_account_name(account.name)) return wrong("an account without a proper name");
    const std::string kind = text("kind");
    if (kind != "person" && kind != "program") return wrong("account " + account.name + " is neither of a person nor of a program");
    account.kind = kind == "person" ? AccountKind::person : AccountKind::program;
    const auto role = role_named(text("role"));
    if (!role) return wrong("account " + account.name + " has no role that is known here");
    account.role = *role;
    account.secret = text("secret");
    if (account.secret.empty()) return wrong("account " + account.name + " has no secret");
    if (json.contains("changed_s") && json["changed_s"].is_number_integer()) account.changed_s = json["changed_s"];
    const Json terminals = json.value("terminals", Json::array());
    if (!terminals.is_array()) return wrong("the terminals of account " + account.name + " are no list");
    for (const Json& one : terminals) {
        if (!one.is_string()) return wrong("a terminal of account " + account.name + " is no name");
        account.terminals.push_back(one);
    }
    return account;
}

/// Held while the file is changed, for as long as what it returns lives.
Result<streams::OwnedFd> lock(const std::string& path) {
    streams::OwnedFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0 || ::flock(file.get(), LOCK_EX) != 0) return failure(ErrorCode::failed, "cannot lock " + path + ": " + std::strerror(errno));
    if (auto given = give_to_owner_of_folder(file.get(), path); !given) return tl::unexpected(given.error());
    return file;
}

}  // namespace

std::string Account::stamp() const {
    Json json{{"kind", to_string(kind)}, {"role", gateway::to_string(role)}, {"secret", secret}, {"terminals", terminals}};
    return digest_of(json.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 32);
}

const Account* AccountBook::find(AccountKind kind, std::string_view name) const {
    const auto found = std::find_if(accounts.begin(), accounts.end(), [&](const Account& one) { return one.kind == kind && one.name == name; });
    return found == accounts.end() ? nullptr : &*found;
}

const Account* AccountBook::find_key(std::string_view key) const {
    const std::string given = hash_key(key);
    const Account* found = nullptr;
    for (const Account& one : accounts) {
        const bool same = one.kind == AccountKind::program && one.secret.size() == given.size() && sodium_memcmp(one.secret.data(), given.data(), given.size()) == 0;
        if (same) found = &one;
    }
    return found;
}

Result<AccountBook> parse_accounts(std::string_view text, const std::string& path) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("accounts") || !json["accounts"].is_array() || json.value("format", Json()) != kAccountsFormat) {
        return failure(ErrorCode::damaged, path + " is no list of accounts that this program can read: put it back from a copy");
    }
    AccountBook book;
    for (const Json& one : json["accounts"]) {
        auto account = account_of(one);
        if (!account) return failure(ErrorCode::damaged, path + ": " + account.error().message + "; put it back from a copy, or mend it");
        if (book.find(account->kind, account->name) != nullptr) return failure(ErrorCode::damaged, path + ": account " + account->name + " is there twice");
        book.accounts.push_back(std::move(*account));
    }
    return book;
}

std::string text_of(const AccountBook& book) {
    Json accounts = Json::array();
    for (const Account& one : book.accounts) {
        accounts.push_back({{"name", one.name}, {"kind", to_string(one.kind)}, {"role", to_string(one.role)}, {"terminals", one.terminals},
                            {"secret", one.secret}, {"changed_s", one.changed_s}});
    }
    return Json{{"format", kAccountsFormat}, {"accounts", accounts}}.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string accounts_path(const std::string& state_dir) { return state_dir + "/accounts"; }

Result<AccountBook> load_accounts(const std::string& state_dir) {
    const auto text = read_private_file(accounts_path(state_dir));
    if (!text) return tl::unexpected(text.error());
    if (!*text) return AccountBook{};
    return parse_accounts(**text, accounts_path(state_dir));
}

Result<> change_accounts(const std::string& state_dir, const std::function<Result<>(AccountBook&)>& change) {
    const auto locked = lock(accounts_path(state_dir) + ".lock");
    if (!locked) return tl::unexpected(locked.error());
    auto book = load_accounts(state_dir);
    if (!book) return tl::unexpected(book.error());
    if (auto changed = change(*book); !changed) return changed;
    return replace_private_file(accounts_path(state_dir), text_of(*book));
}

Result<> check_account_name(std::string_view name) {
    const auto fine = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("._-@").find(c) != std::string_view::npos; };
    if (!name.empty() && name.size() <= kLongestAccountName && name.front() != '-' && std::all_of(name.begin(), name.end(), fine)) return {};
    return failure(ErrorCode::invalid, "a name has letters, digits and . _ - @ only, begins with none of -, and is not longer than " +
                                           std::to_string(kLongestAccountName));
}

Result<> check_new_password(std::string_view name, std::string_view password) {
    if (password.size() < kShortestPassword) {
        return failure(ErrorCode::invalid, "the password is too short to be safe: use at least " + std::to_string(kShortestPassword) + " characters; several words are fine");
    }
    if (password.size() > kLongestPassword) return failure(ErrorCode::invalid, "the password is longer than " + std::to_string(kLongestPassword) + " bytes");
    if (password == name) return failure(ErrorCode::invalid, "the password is the name itself");
    return {};
}

Result<std::string> hash_password(const std::string& password) {
    start_sodium();
    std::array<char, crypto_pwhash_STRBYTES> text{};
    if (crypto_pwhash_str_alg(text.data(), password.data(), password.size(), kPasses, kMemory, crypto_pwhash_ALG_ARGON2ID13) == 0) return std::string(text.data());
    return failure(ErrorCode::failed, "the password cannot be hashed: " + std::to_string(kMemory / 1024 / 1024) + " MiB of memory are needed for a moment");
}

bool is_password(const std::string& secret, const std::string& password) {
    // Nobody's, made with the same cost: whether a name exists must not show in the time an answer takes.
    static const std::string kNobody = hash_password(random_text(32)).value_or("");
    const std::string& verified = secret.empty() ? kNobody : secret;
    const bool fine = verified.size() < crypto_pwhash_STRBYTES && crypto_pwhash_str_verify(verified.c_str(), password.data(), password.size()) == 0;
    return fine && !secret.empty();
}

std::string make_key() { return std::string(kKeyStart) + random_text(36); }

std::string make_password() {
    std::string text;
    for (int group = 0; group < 4; ++group) text += (group == 0 ? "" : "-") + random_text(5);
    return text;
}

std::string hash_key(std::string_view key) { return digest_of(key); }

}  // namespace understudy::gateway
