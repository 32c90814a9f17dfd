// Claims about access, addresses and files of the gateway that need no network.
#include <catch2/catch.hpp>

#include "client/gateway/access.hpp"
#include "client/gateway/assets.hpp"
#include "client/gateway/configuration.hpp"
#include "client/gateway/target.hpp"
#include "client/link/keys.hpp"
#include "program.hpp"

using namespace understudy;
using namespace understudy::gateway;

TEST_CASE("access: only the key is the key") {
    const Access access("correct horse battery");
    CHECK(access.right_of_key("correct horse battery") == Right::operate);
    CHECK(access.right_of_key("correct horse batter") == Right::none);
    CHECK(access.right_of_key("") == Right::none);
}

TEST_CASE("access: a cookie holds until its date, for this key only, and not when touched") {
    const Access access("correct horse battery");
    const std::string cookie = "understudy=" + access.make_cookie(Right::operate, 1000);
    CHECK(access.right_of_cookies(cookie, 1000) == Right::operate);
    CHECK(access.right_of_cookies("a=b; " + cookie + "; c", 1000 + kCookieSeconds - 1) == Right::operate);
    CHECK(access.right_of_cookies(cookie, 1000 + kCookieSeconds) == Right::none);
    CHECK(Access("another key than that").right_of_cookies(cookie, 1000) == Right::none);
    for (std::size_t i = std::string("understudy=").size(); i < cookie.size(); ++i) {
        std::string touched = cookie;
        touched[i] = touched[i] == '1' ? '2' : '1';
        CHECK(access.right_of_cookies(touched, 1000) == Right::none);
    }
    CHECK(access.right_of_cookies("understudy", 1000) == Right::none);
    CHECK(access.right_of_cookies("understudy=;", 1000) == Right::none);
}

TEST_CASE("access: an observer's key and cookie never give more than looking, and need a key that is set") {
    const Access access("correct horse battery", "a key for observers");
    CHECK(access.right_of_key("a key for observers") == Right::observe);
    const std::string cookie = "understudy=" + access.make_cookie(Right::observe, 1000);
    CHECK(access.right_of_cookies(cookie, 1001) == Right::observe);
    CHECK(access.right_of_cookies(cookie + "; understudy=" + access.make_cookie(Right::operate, 1000), 1001) == Right::operate);
    const Access without("correct horse battery");
    CHECK(without.right_of_key("") == Right::none);
    CHECK(without.right_of_cookies(cookie, 1001) == Right::none);
}

TEST_CASE("access: guessing is slowed down, and only for a while") {
    GuessLimit limit;
    const GuessLimit::Time start{std::chrono::hours(1)};
    for (int i = 0; i < 10; ++i) {
        CHECK(limit.allows(start));
        limit.wrong(start);
    }
    CHECK_FALSE(limit.allows(start));
    CHECK(limit.allows(start + std::chrono::seconds(2)));
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

TEST_CASE("gateway configuration: a short access key is refused, and defaults listen on loopback") {
    const test::TemporaryFolder folder;
    const auto keys = client::make_key_pair();
    const std::string link = "manager = 'tcp://127.0.0.1:1'\nmanager_key = '" + keys.public_key + "'\npublic_key = '" + keys.public_key +
                             "'\nsecret_key = '" + keys.secret_key + "'\n[gateway]\n";
    const auto weak = load_gateway_configuration(folder.write("weak.toml", link + "access_key = 'short'\n"));
    REQUIRE_FALSE(weak);
    CHECK(weak.error().message.find("line 6: option \"gateway.access_key\" is too short") != std::string::npos);
    folder.write("key", "0123456789abcdefghij\n");
    const auto fine = load_gateway_configuration(folder.write("fine.toml", link + "access_key_file = 'key'\n"));
    REQUIRE(fine);
    CHECK(fine->access_key == "0123456789abcdefghij");
    CHECK(fine->address == "127.0.0.1");
    CHECK_FALSE(load_gateway_configuration(folder.write("typo.toml", link + "acess_key = 'x'\n")));
}
