// Claims about certificates, secret files and the bounds on connections that need no network.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "client/gateway/certificates.hpp"
#include "client/gateway/private_file.hpp"
#include "client/gateway/visits.hpp"
#include "program.hpp"

using namespace understudy;
using namespace understudy::gateway;

namespace {

constexpr std::int64_t kNow = 1800000000;
constexpr std::int64_t kDay = 24 * 3600;

std::string content_of(const std::string& path) {
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), {}};
}

mode_t mode_of(const std::string& path) {
    struct stat found{};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    return found.st_mode & 0777;
}

}  // namespace

TEST_CASE("certificates: the first start makes an authority and a certificate, and the next ones keep them") {
    const test::TemporaryFolder folder;
    const auto first = own_certificate(folder.path(""), {"localhost", "127.0.0.1", "::1"}, kNow);
    REQUIRE(first);
    CHECK(mode_of(folder.path("authority.pem")) == 0600);
    CHECK(mode_of(folder.path("server.pem")) == 0600);
    CHECK(mode_of(folder.path("authority.crt")) == 0644);
    CHECK(content_of(folder.path("authority.crt")).find("PRIVATE KEY") == std::string::npos);
    CHECK(content_of(folder.path("authority.crt")) == first->authority);
    CHECK(end_of(first->chain).value() == kNow + kLeafDays * kDay);
    CHECK(fingerprint_of(first->authority)->size() == 95);
    const auto second = own_certificate(folder.path(""), {"localhost", "127.0.0.1", "::1"}, kNow + kDay);
    REQUIRE(second);
    CHECK(second->chain == first->chain);
}

TEST_CASE("certificates: one that ends soon, is for other names or is damaged is made anew by the same authority") {
    const test::TemporaryFolder folder;
    const auto first = own_certificate(folder.path(""), {"desk.example"}, kNow);
    REQUIRE(first);
    const auto later = own_certificate(folder.path(""), {"desk.example"}, kNow + (kLeafDays - kRenewDays) * kDay);
    REQUIRE(later);
    CHECK(later->chain != first->chain);
    CHECK(later->authority == first->authority);
    const auto renamed = own_certificate(folder.path(""), {"desk.example", "10.1.2.3"}, kNow + kDay);
    REQUIRE(renamed);
    CHECK(renamed->chain != later->chain);
    REQUIRE(replace_private_file(folder.path("server.pem"), "nonsense"));
    const auto mended = own_certificate(folder.path(""), {"desk.example", "10.1.2.3"}, kNow + kDay);
    REQUIRE(mended);
    CHECK(mended->authority == first->authority);
}

TEST_CASE("certificates: a damaged authority, or one whose key others can read, is refused and left as it is") {
    const test::TemporaryFolder folder;
    REQUIRE(own_certificate(folder.path(""), {"desk.example"}, kNow));
    REQUIRE(::chmod(folder.path("authority.pem").c_str(), 0644) == 0);
    const auto open = own_certificate(folder.path(""), {"desk.example"}, kNow);
    REQUIRE_FALSE(open);
    CHECK(open.error().code == ErrorCode::refused);
    CHECK(open.error().message.find("others may read") != std::string::npos);
    REQUIRE(replace_private_file(folder.path("authority.pem"), "nonsense"));
    const auto damaged = own_certificate(folder.path(""), {"desk.example"}, kNow);
    REQUIRE_FALSE(damaged);
    CHECK(damaged.error().code == ErrorCode::damaged);
    CHECK(content_of(folder.path("authority.pem")) == "nonsense");
}

TEST_CASE("secret files: what cannot be written leaves the older one as it was") {
    const test::TemporaryFolder folder;
    REQUIRE(replace_private_file(folder.path("secret"), "old"));
    CHECK(mode_of(folder.path("secret")) == 0600);
    CHECK_FALSE(replace_private_file(folder.path("nowhere/secret"), "new"));
    CHECK(read_private_file(folder.path("secret"))->value() == "old");
    CHECK_FALSE(read_private_file(folder.path("missing"))->has_value());
}

TEST_CASE("visits: the oldest stranger gives way, somebody who is logged in never does") {
    Visits visits({3, 2});
    const auto known = visits.enter("10.0.0.1");
    known->known = true;
    int ended = 0;
    const auto first = visits.enter("10.0.0.2");
    first->end = [&] { ended = 1; };
    const auto second = visits.enter("10.0.0.3");
    second->end = [&] { ended = 2; };
    const auto third = visits.enter("10.0.0.4");
    REQUIRE(third);
    CHECK(ended == 1);
    CHECK(visits.size() == 3);
    second->known = third->known = true;
    CHECK(visits.enter("10.0.0.5") == nullptr);
    CHECK(visits.displaced() == 1);
    visits.leave(third);
    CHECK(visits.enter("10.0.0.5"));
}

TEST_CASE("visits: one address, or one network of the sixth version, has few places while nobody logs in") {
    Visits visits({100, 2});
    int ended = 0;
    const auto other = visits.enter("2001:db8:1::1");
    other->end = [&] { ended = 99; };
    const auto first = visits.enter("2001:db8:0:7::1");
    first->end = [&] { ended = 1; };
    const auto second = visits.enter("2001:db8:0:7::2");
    const auto third = visits.enter("2001:db8:0:7:ffff::3");
    CHECK(ended == 1);
    CHECK(visits.size() == 3);
    CHECK(group_of("::ffff:10.0.0.1") == "10.0.0.1");
    CHECK(group_of("2001:db8:0:7:ffff::3") == "2001:db8:0:7::/64");
}
