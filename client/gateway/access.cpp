// See access.hpp.
#include "client/gateway/access.hpp"

#include <algorithm>

#include "client/gateway/private_file.hpp"

namespace understudy::gateway {
namespace {

constexpr std::string_view kBearer = "Bearer ";

Caller caller_for(const Account& account, std::string session) {
    return {account.name, account.role, account.terminals, std::move(session), account.stamp()};
}

}  // namespace

std::vector<std::string_view> cookies_named(std::string_view header, std::string_view name) {
    std::vector<std::string_view> found;
    while (!header.empty()) {
        const auto end = header.find(';');
        std::string_view one = header.substr(0, end);
        header = end == std::string_view::npos ? std::string_view() : header.substr(end + 1);
        one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
        if (one.starts_with(name) && one.substr(name.size(), 1) == "=") found.push_back(one.substr(name.size() + 1));
    }
    return found;
}

Result<> Access::load() {
    if (auto loaded = reload_accounts(); !loaded) return loaded;
    const auto text = read_private_file(sessions_path());
    if (!text) return tl::unexpected(text.error());
    if (!*text) return {};
    auto sessions = Sessions::parse(**text);
    if (sessions) sessions_ = std::move(*sessions);
    return {};
}

Result<> Access::reload_accounts() {
    auto book = load_accounts(state_dir_);
    if (!book) return tl::unexpected(book.error());
    book_ = std::move(*book);
    return {};
}

Caller Access::caller_of_token(std::string_view token, std::int64_t now_s) {
    const std::string hash = hash_key(token);
    const Session* session = sessions_.use(hash, now_s);
    const Account* account = session == nullptr ? nullptr : book_.find(AccountKind::person, session->account);
    if (account == nullptr || account->stamp() != session->stamp) return {};
    return caller_for(*account, hash);
}

Caller Access::caller_of(std::string_view authorization, std::string_view cookies, std::string_view cookie_name, std::int64_t now_s) {
    if (authorization.starts_with(kBearer)) {
        const Account* program = book_.find_key(authorization.substr(kBearer.size()));
        return program == nullptr ? Caller{} : caller_for(*program, {});
    }
    for (const std::string_view token : cookies_named(cookies, cookie_name)) {
        Caller caller = caller_of_token(token, now_s);
        if (caller.role != Role::none) return caller;
    }
    return {};
}

bool Access::still(const Caller& caller, std::int64_t now_s) const {
    const bool person = !caller.session.empty();
    const Account* account = book_.find(person ? AccountKind::person : AccountKind::program, caller.name);
    return account != nullptr && account->stamp() == caller.stamp && (!person || sessions_.look(caller.session, now_s) != nullptr);
}

}  // namespace understudy::gateway
