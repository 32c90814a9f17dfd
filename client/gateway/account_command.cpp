// See account_command.hpp.
#include "client/gateway/account_command.hpp"

#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/gateway/accounts.hpp"
#include "client/gateway/audit.hpp"
#include "client/gateway/configuration.hpp"
#include "client/gateway/private_file.hpp"

namespace understudy::gateway {
namespace {

/// No letters on the screen while it lives.
class Hidden {
public:
    Hidden() {
        is_terminal_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
        if (!is_terminal_) return;
        termios quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    Hidden(const Hidden&) = delete;
    Hidden& operator=(const Hidden&) = delete;
    ~Hidden() {
        if (is_terminal_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    [[nodiscard]] bool is_terminal() const { return is_terminal_; }

private:
    termios before_{};
    bool is_terminal_ = false;
};

/// From a terminal twice, from anything else the first line. Never from the command line, which others can read.
Result<std::string> ask_password(const std::string& name) {
    const Hidden hidden;
    std::string password;
    if (hidden.is_terminal()) std::cerr << "Password for " << name << ": " << std::flush;
    if (!std::getline(std::cin, password)) return failure(ErrorCode::invalid, "no password was given on standard input");
    if (auto fine = check_new_password(name, password); !fine) return tl::unexpected(fine.error());
    if (!hidden.is_terminal()) return password;
    std::string again;
    std::cerr << "\nOnce more: " << std::flush;
    std::getline(std::cin, again);
    std::cerr << "\n";
    if (again != password) return failure(ErrorCode::invalid, "the two are not the same; nothing was changed");
    return password;
}

struct Wanted {
    std::string name;
    std::string role;
    Terminals terminals;
    AccountKind kind = AccountKind::person;
    bool generate = false;
};

Result<Role> role_wanted(const Wanted& wanted) {
    const auto role = role_named(wanted.role);
    if (!role) return failure(ErrorCode::invalid, "there is no role \"" + wanted.role + "\": it is terminal, observer, operator or administrator");
    if (*role == Role::terminal && wanted.terminals.empty()) {
        return failure(ErrorCode::invalid, "somebody with the role terminal needs --terminal NAME: it is all that role is for");
    }
    return *role;
}

Account* found(AccountBook& book, const Wanted& wanted) {
    for (Account& one : book.accounts) {
        if (one.kind == wanted.kind && one.name == wanted.name) return &one;
    }
    return nullptr;
}

tl::unexpected<Error> unknown(const Wanted& wanted) {
    return failure(ErrorCode::not_found, std::string("there is no ") + (wanted.kind == AccountKind::person ? "account" : "key") + " \"" + wanted.name + "\"");
}

/// Written down first; then changed.
Result<> change(const std::string& state_dir, const std::string& verb, const Wanted& wanted, const std::function<Result<>(AccountBook&)>& how) {
    AuditEntry entry;
    entry.event = "account";
    entry.who = "user " + std::to_string(::getuid()) + " on the gateway's machine";
    entry.verb = verb;
    entry.arguments = {"name=" + wanted.name};
    if (!wanted.role.empty()) entry.arguments.push_back("role=" + wanted.role);
    for (const std::string& terminal : wanted.terminals) entry.arguments.push_back("terminal=" + terminal);
    return change_accounts(state_dir, [&](AccountBook& book) -> Result<> {
        if (auto changed = how(book); !changed) return changed;
        return append_audit(audit_path(state_dir), audit_line(entry, std::int64_t{std::time(nullptr)} * 1000));
    });
}

Result<> add(const std::string& state_dir, const Wanted& wanted) {
    if (auto fine = check_account_name(wanted.name); !fine) return fine;
    const auto role = role_wanted(wanted);
    if (!role) return tl::unexpected(role.error());
    Account account{wanted.name, wanted.kind, *role, wanted.terminals, {}, std::time(nullptr)};
    std::string shown;
    if (wanted.kind == AccountKind::program) {
        shown = make_key();
        account.secret = hash_key(shown);
    } else {
        const auto known = load_accounts(state_dir);
        if (!known) return tl::unexpected(known.error());
        if (known->find(wanted.kind, wanted.name) != nullptr) return failure(ErrorCode::refused, "there is an account \"" + wanted.name + "\" already: change or remove it");
        auto password = wanted.generate ? Result<std::string>(make_password()) : ask_password(wanted.name);
        if (!password) return tl::unexpected(password.error());
        if (wanted.generate) shown = *password;
        auto secret = hash_password(*password);
        if (!secret) return tl::unexpected(secret.error());
        account.secret = std::move(*secret);
    }
    auto added = change(state_dir, "add", wanted, [&](AccountBook& book) -> Result<> {
        if (found(book, wanted) != nullptr) return failure(ErrorCode::refused, "\"" + wanted.name + "\" is there already: change or remove it");
        book.accounts.push_back(account);
        return {};
    });
    // Said once: nobody can read it again.
    if (added && !shown.empty()) std::cout << shown << "\n";
    return added;
}

Result<> remove(const std::string& state_dir, const Wanted& wanted) {
    return change(state_dir, "remove", wanted, [&](AccountBook& book) -> Result<> {
        const auto gone = std::erase_if(book.accounts, [&](const Account& one) { return one.kind == wanted.kind && one.name == wanted.name; });
        if (gone == 0) return unknown(wanted);
        return {};
    });
}

Result<> set_password(const std::string& state_dir, const Wanted& wanted) {
    const auto known = load_accounts(state_dir);
    if (!known) return tl::unexpected(known.error());
    if (known->find(AccountKind::person, wanted.name) == nullptr) return unknown(wanted);
    auto password = wanted.generate ? Result<std::string>(make_password()) : ask_password(wanted.name);
    if (!password) return tl::unexpected(password.error());
    const auto secret = hash_password(*password);
    if (!secret) return tl::unexpected(secret.error());
    auto changed = change(state_dir, "passwd", wanted, [&](AccountBook& book) -> Result<> {
        Account* account = found(book, wanted);
        if (account == nullptr) return unknown(wanted);
        account->secret = *secret;
        account->changed_s = std::time(nullptr);
        return {};
    });
    if (changed && wanted.generate) std::cout << *password << "\n";
    return changed;
}

Result<> set_role(const std::string& state_dir, const Wanted& wanted) {
    const auto role = role_wanted(wanted);
    if (!role) return tl::unexpected(role.error());
    return change(state_dir, "change", wanted, [&](AccountBook& book) -> Result<> {
        Account* account = found(book, wanted);
        if (account == nullptr) return unknown(wanted);
        account->role = *role;
        account->terminals = wanted.terminals;
        account->changed_s = std::time(nullptr);
        return {};
    });
}

Result<> list(const std::string& state_dir) {
    const auto book = load_accounts(state_dir);
    if (!book) return tl::unexpected(book.error());
    if (book->accounts.empty()) std::cout << "Nobody yet. Add somebody: understudy-gateway account add NAME --role ROLE\n";
    for (const Account& one : book->accounts) {
        std::cout << std::left << std::setw(24) << one.name << (one.kind == AccountKind::person ? "  person   " : "  program  ") << std::setw(14) << to_string(one.role);
        for (const std::string& terminal : one.terminals) std::cout << "  " << terminal;
        std::cout << "\n";
    }
    return {};
}

using Deed = Result<> (*)(const std::string&, const Wanted&);

/// Finds the state folder, does it, and says what went wrong.
void carry_out(AccountCommand& command, const std::function<Result<>(const std::string&)>& deed) {
    const auto path = client::find_configuration(command.configuration);
    const auto configuration = path ? load_gateway_configuration(*path) : tl::unexpected(path.error());
    auto done = configuration ? make_private_folder(configuration->state_dir) : tl::unexpected(configuration.error());
    if (done) done = deed(configuration->state_dir);
    command.exit_code = done ? 0 : configuration ? 1 : 2;
    if (!done) std::cerr << "understudy-gateway: " << done.error().message << "\n";
}

CLI::App* add_verb(CLI::App& app, AccountCommand& command, AccountKind kind, const std::string& name, const std::string& what, Deed deed) {
    auto* verb = app.add_subcommand(name, what);
    auto wanted = std::make_shared<Wanted>();
    wanted->kind = kind;
    verb->add_option("name", wanted->name, "whom it is about")->required();
    if (name == "add" || name == "change") {
        verb->add_option("--role", wanted->role, "terminal, observer, operator or administrator")->required();
        verb->add_option("--terminal", wanted->terminals, "may open this one, and no others but those named; again for more; \"*\": all");
    }
    if (kind == AccountKind::person && (name == "add" || name == "passwd")) {
        verb->add_flag("--generate", wanted->generate, "make a password and print it, instead of asking for one");
    }
    verb->callback([&command, wanted, deed] {
        carry_out(command, [&](const std::string& state_dir) { return deed(state_dir, *wanted); });
    });
    return verb;
}

}  // namespace

void add_account_commands(CLI::App& app, AccountCommand& command) {
    auto* account = app.add_subcommand("account", "people who may log in");
    account->require_subcommand(1);
    add_verb(*account, command, AccountKind::person, "add", "add somebody; the password is asked for, or read from standard input", add);
    add_verb(*account, command, AccountKind::person, "remove", "remove somebody, who is logged out at once", remove);
    add_verb(*account, command, AccountKind::person, "passwd", "give somebody another password; who is logged in with the old one is logged out", set_password);
    add_verb(*account, command, AccountKind::person, "change", "give somebody another role or other terminals", set_role);
    account->add_subcommand("list", "who there is, programs included")->callback([&command] { carry_out(command, list); });
    auto* key = app.add_subcommand("key", "keys of programs, sent as bearer tokens");
    key->require_subcommand(1);
    add_verb(*key, command, AccountKind::program, "add", "make a key and print it; it cannot be shown again", add);
    add_verb(*key, command, AccountKind::program, "remove", "make a key void at once", remove);
}

}  // namespace understudy::gateway
