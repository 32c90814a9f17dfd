// Claims about access, addresses and files of the gateway that need no network.
#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include "client/gateway/access.hpp"
#include "client/gateway/act.hpp"
#include "client/gateway/assets.hpp"
#include "client/gateway/audit.hpp"
#include "client/gateway/configuration.hpp"
#include "client/gateway/log_in_guard.hpp"
#include "client/gateway/roles.hpp"
#include "client/gateway/sessions.hpp"
#include "client/gateway/target.hpp"
#include "client/gateway/visits.hpp"
#include "client/link/keys.hpp"
#include "program.hpp"

using namespace understudy;
using namespace understudy::gateway;

namespace {

Account person(const std::string& name, Role role, const std::string& secret = "x") { return {name, AccountKind::person, role, {}, secret, 0}; }

Caller caller(const std::string& name, Role role) { return {name, role, {}, "session", {}}; }

/// A visit of `address` that says in `ended` that it was told to end.
std::shared_ptr<Visit> visit(Visits& visits, const std::string& address, std::vector<const Visit*>& ended) {
    auto entered = visits.enter(address);
    if (entered) entered->end = [&ended, raw = entered.get()] { ended.push_back(raw); };
    return entered;
}

}  // namespace

TEST_CASE("visits: the oldest stranger gives way to the newest, of its own address first") {
    Visits visits({.in_all = 4, .strangers_per_address = 2, .per_account = 4, .reserve = 1});
    std::vector<const Visit*> ended;
    const auto first = visit(visits, "10.0.0.1", ended), other = visit(visits, "10.0.0.2", ended), second = visit(visits, "10.0.0.1", ended);
    CHECK(ended.empty());
    const auto third = visit(visits, "10.0.0.1", ended);
    CHECK(ended == std::vector<const Visit*>{first.get()});
    const auto fourth = visit(visits, "10.0.0.3", ended), fifth = visit(visits, "10.0.0.4", ended);
    CHECK(ended == std::vector<const Visit*>{first.get(), other.get()});
    CHECK(visits.displaced() == 2);
    CHECK(visits.size() == 4);
}

TEST_CASE("visits: an account that has its share loses its own oldest, and no other account a place") {
    Visits visits({.in_all = 8, .strangers_per_address = 8, .per_account = 2, .reserve = 1});
    std::vector<const Visit*> ended;
    const auto honest = visit(visits, "10.0.0.1", ended);
    REQUIRE(visits.belongs_to(*honest, caller("ada", Role::terminal)));
    std::vector<std::shared_ptr<Visit>> greedy;
    for (int i = 0; i < 5; ++i) {
        greedy.push_back(visit(visits, "10.0.0.2", ended));
        REQUIRE(visits.belongs_to(*greedy.back(), caller("mallory", Role::terminal)));
        REQUIRE(visits.belongs_to(*greedy.back(), caller("mallory", Role::terminal)));  // the next request of the same connection
    }
    CHECK(ended == std::vector<const Visit*>{greedy[0].get(), greedy[1].get(), greedy[2].get()});
    CHECK(visits.size() == 3);
}

TEST_CASE("visits: those who are logged in leave a reserve that administrators always get in by") {
    Visits visits({.in_all = 4, .strangers_per_address = 4, .per_account = 4, .reserve = 1});
    std::vector<const Visit*> ended;
    std::vector<std::shared_ptr<Visit>> known;
    for (int i = 0; i < 3; ++i) {
        known.push_back(visit(visits, "10.0.0.1", ended));
        REQUIRE(visits.belongs_to(*known.back(), caller("person " + std::to_string(i), Role::operator_)));
    }
    const auto one_more = visit(visits, "10.0.0.1", ended);
    CHECK_FALSE(visits.belongs_to(*one_more, caller("person 4", Role::operator_)));
    visits.leave(one_more);
    const auto administrator = visit(visits, "10.0.0.1", ended);
    CHECK(visits.belongs_to(*administrator, caller("root", Role::administrator)));
    CHECK(ended.empty());
    CHECK_FALSE(visit(visits, "10.0.0.9", ended));  // all are known now
}

TEST_CASE("roles: each may what those before it may, and an act needs the role of its kind") {
    CHECK(role_named("operator") == Role::operator_);
    CHECK_FALSE(role_named("none"));
    CHECK(least_role_of_act("failover", {"session=2"}) == Role::operator_);
    CHECK(least_role_of_act("fence", {"host=a"}) == Role::administrator);
    CHECK(least_role_of_act("fence", {"host=a", "dry-run=yes"}) == Role::observer);
    CHECK(least_role_of_act("fence", {"host=a", "dry-run=no"}) == Role::administrator);
    CHECK_FALSE(least_role_of_act("watch", {}));
}

TEST_CASE("acts: what is asked for is a known act with flat arguments, and never in somebody's name") {
    const auto act = parse_act(R"({"verb":"failover","arguments":{"session":2,"reason":"slow"}})");
    REQUIRE(act);
    CHECK(act->verb == "failover");
    CHECK(act->arguments == std::vector<std::string>{"reason=slow", "session=2"});
    CHECK(act->reason() == "slow");
    CHECK(act->least == Role::operator_);
    CHECK(parse_act(R"({"verb":"view"})")->reason().empty());
    CHECK(parse_act(R"({"verb":"fence","arguments":["host=a","dry-run=yes"]})")->least == Role::observer);
    CHECK(parse_act(R"({"verb":"fence","arguments":["host=a","dry-run=no"]})")->least == Role::administrator);
    std::string many = R"({"verb":"drain","arguments":[)";
    for (std::size_t i = 0; i < kMostArguments; ++i) many += R"("a=b",)";
    CHECK(parse_act(many.substr(0, many.size() - 1) + "]}"));
    for (const std::string& bad : std::initializer_list<std::string>{
             "", "{", "[]", "null", R"({"verb":1})", R"({"verb":"watch"})", R"({"verb":"reboot"})", R"({"verb":"drain","arguments":"host=a"})",
             R"({"verb":"drain","arguments":[1]})", R"({"verb":"drain","arguments":{"host":["a"]}})", R"({"verb":"drain","arguments":{"host":1.5}})",
             R"({"verb":"drain","arguments":["by=ada"]})", R"({"verb":"drain","arguments":{"by":"ada"}})", many + R"("a=b"]})", std::string(60000, '[')}) {
        const auto refused = parse_act(bad);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::invalid);
    }
}

TEST_CASE("roles: whoever is bound to terminals opens those, and nobody else's") {
    CHECK(may_open(Role::terminal, {"desk"}, "desk"));
    CHECK_FALSE(may_open(Role::terminal, {"desk"}, "other"));
    CHECK_FALSE(may_open(Role::observer, {}, "desk"));
    CHECK(may_open(Role::operator_, {}, "desk"));
    CHECK_FALSE(may_open(Role::administrator, {"desk"}, "other"));
    CHECK(may_open(Role::observer, {"*"}, "other"));
    CHECK_FALSE(may_open(Role::none, {"*"}, "desk"));
}

TEST_CASE("accounts: what is written is read again, and what is damaged is refused whole") {
    AccountBook book;
    book.accounts = {person("ada", Role::operator_), {"robot", AccountKind::program, Role::observer, {"desk"}, hash_key("usk_k"), 7}};
    const auto again = parse_accounts(text_of(book), "accounts");
    REQUIRE(again);
    CHECK(again->accounts == book.accounts);
    CHECK(again->find_key("usk_k")->name == "robot");
    CHECK(again->find_key("usk_x") == nullptr);
    for (const char* text : {"", "{}", "[]", R"({"format":2,"accounts":[]})", R"({"format":1,"accounts":[{"name":"a"}]})",
                             R"({"format":1,"accounts":[{"name":"a/b","kind":"person","role":"operator","secret":"x"}]})",
                             R"({"format":1,"accounts":[{"name":"a","kind":"person","role":"none","secret":"x"}]})"}) {
        CHECK_FALSE(parse_accounts(text, "accounts"));
    }
}

TEST_CASE("accounts: the file is for its owner alone, and a change that is refused leaves it as it was") {
    const test::TemporaryFolder folder;
    REQUIRE(change_accounts(folder.path(""), [](AccountBook& book) -> Result<> { book.accounts.push_back(person("ada", Role::operator_)); return {}; }));
    CHECK_FALSE(change_accounts(folder.path(""), [](AccountBook& book) -> Result<> { book.accounts.clear(); return failure(ErrorCode::refused, "no"); }));
    CHECK(load_accounts(folder.path(""))->find(AccountKind::person, "ada") != nullptr);
    REQUIRE(::chmod(folder.path("accounts").c_str(), 0640) == 0);
    CHECK(load_accounts(folder.path("")).error().code == ErrorCode::refused);
}

TEST_CASE("accounts: what root writes for the gateway's account is that account's, and a link leads nobody out of the folder") {
    if (::geteuid() != 0) return;
    constexpr uid_t kSomebody = 65534;
    const test::TemporaryFolder folder;
    REQUIRE(::chown(folder.path("").c_str(), kSomebody, kSomebody) == 0);
    REQUIRE(change_accounts(folder.path(""), [](AccountBook& book) -> Result<> { book.accounts.push_back(person("ada", Role::operator_)); return {}; }));
    REQUIRE(append_audit(folder.path("audit.log"), "{}"));
    for (const char* name : {"accounts", "accounts.lock", "audit.log"}) {
        struct stat found{};
        REQUIRE(::stat(folder.path(name).c_str(), &found) == 0);
        CHECK(found.st_uid == kSomebody);
    }
    REQUIRE(::symlink("/dev/null", folder.path("elsewhere").c_str()) == 0);
    CHECK_FALSE(append_audit(folder.path("elsewhere"), "{}"));
}

TEST_CASE("passwords: only the password is the password, and nobody's has none") {
    const auto secret = hash_password("correct horse battery");
    REQUIRE(secret);
    CHECK(secret->starts_with("$argon2id$"));
    CHECK(is_password(*secret, "correct horse battery"));
    CHECK_FALSE(is_password(*secret, "correct horse batter"));
    CHECK_FALSE(is_password("", ""));
    CHECK_FALSE(is_password("nonsense", "nonsense"));
    CHECK_FALSE(check_new_password("ada", "short"));
    CHECK_FALSE(check_new_password("ada.lovelace", "ada.lovelace"));
}

TEST_CASE("sessions: one holds until it rests too long or its time is over, and survives a restart") {
    Sessions sessions;
    const std::string hash = hash_key(sessions.begin("ada", "stamp", 1000));
    CHECK(sessions.use(hash, 1000 + kSessionRestSeconds - 1));
    CHECK(sessions.use(hash, 1000 + 2 * kSessionRestSeconds - 2));
    auto again = Sessions::parse(sessions.text());
    REQUIRE(again);
    CHECK(again->use(hash, 1000 + 2 * kSessionRestSeconds)->account == "ada");
    CHECK_FALSE(again->look(hash, 1000 + 4 * kSessionRestSeconds));
    CHECK_FALSE(again->look(hash, 1000 + kSessionSeconds));
    again->end(hash);
    CHECK_FALSE(again->look(hash, 1001));
    CHECK_FALSE(Sessions::parse("{}"));
}

TEST_CASE("sessions: an account has a bounded number of them, and the one used least is gone first") {
    Sessions sessions;
    const std::string first = hash_key(sessions.begin("ada", "stamp", 0));
    const std::string second = hash_key(sessions.begin("ada", "stamp", 1));
    CHECK(sessions.use(first, 100));
    for (std::size_t i = 2; i <= kSessionsPerAccount; ++i) static_cast<void>(sessions.begin("ada", "stamp", 200));
    CHECK(sessions.look(first, 201));
    CHECK_FALSE(sessions.look(second, 201));
}

TEST_CASE("guard: after some failures the next attempt waits, longer every time, and not for ever") {
    LogInGuard guard;
    LogInGuard::Time now{std::chrono::hours(1)};
    for (int i = 0; i < LogInGuard::kAccount.free_attempts; ++i) CHECK_FALSE(guard.attempt("ada", "10.0.0.1", now));
    std::chrono::seconds before{0};
    for (int i = 0; i < 12; ++i) {
        const auto wait = guard.attempt("ada", "10.0.0." + std::to_string(i), now);
        REQUIRE(wait);
        CHECK(*wait >= before);
        CHECK(*wait <= LogInGuard::kAccount.longest);
        before = *wait;
        CHECK(guard.attempt("ada", "10.0.0.99", now) == wait);
        now += *wait;
        CHECK_FALSE(guard.attempt("ada", "10.0.0." + std::to_string(i), now));
    }
    CHECK(before == LogInGuard::kAccount.longest);
    CHECK_FALSE(guard.attempt("bob", "10.0.0.200", now));
    guard.succeeded("ada", "10.0.0.1");
    CHECK_FALSE(guard.attempt("ada", "10.0.0.200", now));
}

TEST_CASE("guard: one address that tries many names waits as well, and an account of its own does not help it") {
    LogInGuard guard;
    const LogInGuard::Time now{std::chrono::hours(1)};
    for (int i = 0; i < LogInGuard::kAddress.free_attempts; ++i) {
        CHECK_FALSE(guard.attempt("name-" + std::to_string(i), "10.0.0.1", now));
    }
    CHECK(guard.attempt("own", "10.0.0.1", now));
    CHECK_FALSE(guard.attempt("own", "10.0.0.2", now));
}

TEST_CASE("audit: an entry says who did what, without secrets, and the newest is read first") {
    const test::TemporaryFolder folder;
    AuditEntry entry;
    entry.event = "act";
    entry.who = "ada";
    entry.verb = "define-host";
    entry.arguments = {"name=a", "fence-options=plug=7,passwd=hunter2", "reason=new"};
    const std::string line = audit_line(entry, 1800000000123);
    CHECK(line.find("hunter2") == std::string::npos);
    CHECK(line.find("plug=7") != std::string::npos);
    CHECK(line.find("\n") == std::string::npos);
    const std::string path = audit_path(folder.path(""));
    REQUIRE(append_audit(path, line));
    entry.who = "bob\n{}";
    REQUIRE(append_audit(path, audit_line(entry, 1800000000999)));
    const std::string newest = newest_audit(path, 10).value();
    CHECK(newest.find("bob") < newest.find("ada"));
    CHECK(newest_audit(path, 1)->find("ada") == std::string::npos);
    CHECK(append_audit(folder.path("nowhere/audit.log"), line).error().message.find("cannot be recorded") != std::string::npos);
    CHECK(append_audit("/dev/full", line).error().message.find("No space left") != std::string::npos);
}

TEST_CASE("target: pages and API are told apart, and names are decoded") {
    const auto asked = [](const char* text) { return parse_target(text)->asked; };
    CHECK(std::holds_alternative<HomePage>(asked("/")));
    CHECK(std::get<TerminalPage>(asked("/terminal/front%20desk")).terminal == "front desk");
    CHECK(std::get<TerminalStream>(asked("/api/v1/terminals/demo/stream?epoch=3")).terminal == "demo");
    CHECK(std::holds_alternative<Unknown>(asked("/terminal/a/b")));
    CHECK(std::holds_alternative<Unknown>(asked("/terminal/")));
    CHECK(std::holds_alternative<Unknown>(asked("/api/v1/terminals/demo/other")));
}

TEST_CASE("target: malformed addresses are refused") {
    for (const char* text : {"", "x", "/%", "/%2", "/%zz", "/a%00b", "/a%0d%0aSet-Cookie", "http://host/", "/?a=%"}) {
        CHECK_FALSE(parse_target(text));
    }
    CHECK(parse_form("key=a%20b+c&next=%2Fconsole")->at("key") == "a b c");
}

TEST_CASE("login: leads to a page of ours and nowhere else") {
    CHECK(safe_next("/console") == "/console");
    CHECK(safe_next("/terminal/front desk") == "/terminal/front%20desk");
    CHECK(safe_next("/terminal/100%") == "/terminal/100%25");
    for (const char* bad : {"", "console", "//evil.example/", "/\\evil.example", "https://evil.example/", "/login"}) CHECK(safe_next(bad) == "/");
    CHECK(safe_next("/a\r\nSet-Cookie: x") == "/a%0D%0ASet-Cookie%3A%20x");
}

TEST_CASE("files: no path leads out of its folder") {
    CHECK(is_plain_path("core/rfb.js"));
    for (const char* bad : {"", "/etc/passwd", "../x", "a/../../x", "a//b", ".git/config", "a/.hidden", "a\\b", "a%2e", "core/"}) CHECK_FALSE(is_plain_path(bad));
    const test::TemporaryFolder folder;
    folder.write("a.js", "x");
    const Assets assets("", folder.path(""));
    CHECK(assets.novnc("a.js")->type == "text/javascript; charset=utf-8");
    CHECK_FALSE(assets.novnc("missing.js"));
    CHECK(assets.page("console.html"));
    CHECK_FALSE(assets.page("embed.cmake"));
}

TEST_CASE("pages: no script and no style is inline, as the content policy forbids them") {
    for (const auto& [name, text] : embedded_pages()) {
        if (!name.ends_with(".html")) continue;
        INFO(name);
        CHECK(text.find("<style") == std::string_view::npos);
        CHECK(text.find(" style=") == std::string_view::npos);
        CHECK(text.find("javascript:") == std::string_view::npos);
        CHECK(text.find(" onclick") == std::string_view::npos);
        for (auto at = text.find("<script"); at != std::string_view::npos; at = text.find("<script", at + 1)) {
            CHECK(text.substr(at, text.find('>', at) - at).find(" src=\"/assets/") != std::string_view::npos);
        }
    }
}

TEST_CASE("gateway configuration: keys of an older gateway are refused with what to do, and defaults are safe") {
    const test::TemporaryFolder folder;
    const auto keys = client::make_key_pair();
    const std::string link = "manager = 'tcp://127.0.0.1:1'\nmanager_key = '" + keys.public_key + "'\npublic_key = '" + keys.public_key +
                             "'\nsecret_key = '" + keys.secret_key + "'\n[gateway]\n";
    const auto old = load_gateway_configuration(folder.write("old.toml", link + "access_key = '0123456789abcdefghij'\n"));
    REQUIRE_FALSE(old);
    CHECK(old.error().message.find("line 6: option \"gateway.access_key\"") != std::string::npos);
    CHECK(old.error().message.find("understudy-gateway account add") != std::string::npos);
    const auto fine = load_gateway_configuration(folder.write("fine.toml", link));
    REQUIRE(fine);
    CHECK(fine->address == "127.0.0.1");
    CHECK(fine->tls == Tls::on);
    CHECK_FALSE(load_gateway_configuration(folder.write("typo.toml", link + "adress = 'x'\n")));
}
