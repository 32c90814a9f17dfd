// The packet filter for guests: what is written, and what it does to somebody who has an account of the cluster. The
// second needs root and iptables, and happens in a network of its own.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <grp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <set>

#include "manager/adapters/hypervisor/guest_filter.hpp"
#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/run_program.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace understudy::test;

namespace {

constexpr std::uint16_t kManager = 7400;
constexpr std::uint16_t kDoor = 41005;
constexpr std::uint16_t kOther = 7777;

GuestFilter sample() {
    return {accounts_of("ours"), {{"127.0.0.1", kManager, kManager}, {"127.0.0.1", 41000, 41999}}};
}

/// In a child process with a network of its own, whose loopback is up. False: something in it was false.
bool in_own_network(const std::function<bool()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        ifreq loopback{};
        const UniqueFd any(::unshare(CLONE_NEWNET) == 0 ? ::socket(AF_INET, SOCK_DGRAM, 0) : -1);
        const std::string name = "lo";
        name.copy(loopback.ifr_name, name.size());
        loopback.ifr_flags = IFF_UP;
        ::_exit(any && ::ioctl(any.get(), SIOCSIFFLAGS, &loopback) == 0 && body() ? 0 : 1);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// As in_own_network, under an account.
bool as_account(std::uint32_t account, const std::function<bool()>& body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::setgroups(0, nullptr) == 0 && ::setgid(account) == 0 && ::setuid(account) == 0 && body() ? 0 : 1);
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class Address>
Address loopback(std::uint16_t port);
template <>
sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return where;
}
template <>
sockaddr_in6 loopback(std::uint16_t port) {
    sockaddr_in6 where{};
    where.sin6_family = AF_INET6;
    where.sin6_port = htons(port);
    where.sin6_addr = in6addr_loopback;
    return where;
}

template <class Address>
UniqueFd listener(std::uint16_t port, int type = SOCK_STREAM) {
    const auto where = loopback<Address>(port);
    UniqueFd made(::socket(reinterpret_cast<const sockaddr*>(&where)->sa_family, type, 0));
    const bool bound = ::bind(made.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
    if (!bound || (type == SOCK_STREAM && ::listen(made.get(), 8) != 0)) return {};
    return made;
}

template <class Address>
bool reaches(std::uint16_t port) {
    const auto where = loopback<Address>(port);
    const UniqueFd made(::socket(reinterpret_cast<const sockaddr*>(&where)->sa_family, SOCK_STREAM, 0));
    return ::connect(made.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
}

bool datagram_leaves(std::uint16_t port) {
    const auto where = loopback<sockaddr_in>(port);
    const UniqueFd made(::socket(AF_INET, SOCK_DGRAM, 0));
    return ::sendto(made.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 1;
}

std::string rules(const char* tool) { return run_program({tool, "-S"}, std::chrono::seconds(10)).value_or("?"); }

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

}  // namespace

TEST_CASE("guest accounts: a cluster's are neighbours, above everybody else's; two clusters and two doors have different ones") {
    const AccountRange ours = accounts_of("0123456789abcdef0123456789abcdef");
    CHECK(ours == accounts_of("0123456789abcdef0123456789abcdef"));
    CHECK(ours.first >= 1879048192U);
    CHECK(ours.last < 2147483648U);
    CHECK(ours.last - ours.first == 1023);
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 100; ++i) seen.insert(accounts_of("cluster " + std::to_string(i)).first);
    CHECK(seen.size() == 100);
    seen.clear();
    for (std::uint16_t port = 41000; port < 41999; ++port) {
        const std::uint32_t account = account_of_door(ours, port);
        CHECK((ours.first <= account && account <= ours.last));
        seen.insert(account);
    }
    CHECK(seen.size() == 999);
}

TEST_CASE("guest accounts: a folder or file that is closed to others is named, with what opens it") {
    TemporaryDirectory directory;
    REQUIRE(make_passable_directory(directory.path()));
    REQUIRE(make_passable_directory(directory / "open"));
    REQUIRE(write_file(directory / "open/image", "x", 0644));
    const AccountRange ours = accounts_of("ours");
    CHECK(why_not_without_rights(ours, {directory / "open/image", directory / "not there"}).empty());
    REQUIRE(write_file(directory / "open/image", "x", 0640));
    CHECK_THAT(why_not_without_rights(ours, {directory / "open/image"}), Catch::Contains("chmod o+r " + directory.path() + "/open/image"));
    std::filesystem::permissions(directory / "open", std::filesystem::perms::owner_all);
    CHECK_THAT(why_not_without_rights(ours, {directory / "open/image"}), Catch::Contains("chmod o+x " + directory.path() + "/open"));
}

TEST_CASE("guest filter: places are understood as guests name them") {
    using List = std::vector<FilterOpening>;
    CHECK(opening_to("tcp://10.0.2.2:7400", "10.0.2.2") == List{{"127.0.0.1", 7400, 7400}});
    CHECK(opening_to("localhost:5900", "10.0.2.2") == List{{"127.0.0.1", 5900, 5900}});
    CHECK(opening_to("tcp://192.0.2.1:7400", "10.0.2.2") == List{{"192.0.2.1", 7400, 7400}});
    CHECK(opening_to("tcp://manager.example:7400", "10.0.2.2") == List{{"", 7400, 7400}});  // whatever that is
    for (const char* nowhere : {"", "tcp://10.0.2.2", "10.0.2.2:0", "10.0.2.2:x", "10.0.2.2:99999", "10.0.2.2:7400 -j ACCEPT"}) {
        CHECK(opening_to(nowhere, "10.0.2.2").empty());
    }
}

TEST_CASE("guest filter: what is written comes into force in one step, before every other rule") {
    const std::string chain = filter_chain(sample().accounts);
    const std::string range = std::to_string(sample().accounts.first) + "-" + std::to_string(sample().accounts.last);
    const std::string hook = "OUTPUT -m owner --uid-owner " + range + " -j " + chain + "\n";
    CHECK(chain.size() <= 28);  // iptables takes no more
    CHECK(filter_text(sample(), IpFamily::ipv4, Hook::absent) ==
          "*filter\n:" + chain + " - [0:0]\n"
          "-A " + chain + " -p tcp ! --syn -j RETURN\n"
          "-A " + chain + " -o lo -d 127.0.0.1 -p tcp --dport 7400:7400 -j RETURN\n"
          "-A " + chain + " -o lo -d 127.0.0.1 -p tcp --dport 41000:41999 -j RETURN\n"
          "-A " + chain + " -o lo -p tcp -j REJECT --reject-with tcp-reset\n"
          "-A " + chain + " -o lo -j REJECT\n"
          "-A " + chain + " -d 224.0.0.0/4 -j REJECT\n"
          "-A " + chain + " -d 255.255.255.255 -j REJECT\n"
          "-I " + hook + "COMMIT\n");
    CHECK_THAT(filter_text(sample(), IpFamily::ipv4, Hook::present), Catch::Contains("-D " + hook + "-I " + hook));
    CHECK_THAT(filter_text(sample(), IpFamily::ipv6, Hook::absent), !Catch::Contains("--dport") && Catch::Contains("ff00::/8"));
    CHECK(removal_text(sample().accounts, Hook::present) == "*filter\n:" + chain + " - [0:0]\n-D " + hook + "-X " + chain + "\nCOMMIT\n");
}

TEST_CASE("guest filter: its accounts reach the manager and doors of this machine and nothing else; others reach everything") {
    REQUIRE(::geteuid() == 0);
    CHECK(in_own_network([] {
        const UniqueFd manager = listener<sockaddr_in>(kManager);
        const UniqueFd door = listener<sockaddr_in>(kDoor);
        const UniqueFd other = listener<sockaddr_in>(kOther);
        const UniqueFd other6 = listener<sockaddr_in6>(kOther);
        const std::uint32_t guest = account_of_door(sample().accounts, kDoor);
        const auto everything = [] { return reaches<sockaddr_in>(kOther) && reaches<sockaddr_in6>(kOther) && datagram_leaves(kOther); };
        const bool open_before = as_account(guest, everything);
        if (!set_guest_filter(sample())) return false;
        return open_before && as_account(guest, [] {
                   return reaches<sockaddr_in>(kManager) && reaches<sockaddr_in>(kDoor) && !reaches<sockaddr_in>(kOther) &&
                          !reaches<sockaddr_in6>(kOther) && !datagram_leaves(kOther);
               }) &&
               as_account(accounts_of("theirs").first, everything) && everything() && remove_guest_filter(sample().accounts) && as_account(guest, everything);
    }));
}

TEST_CASE("guest filter: who comes in through a door is answered") {
    REQUIRE(::geteuid() == 0);
    CHECK(in_own_network([] {
        if (!set_guest_filter(sample())) return false;
        int ready[2] = {-1, -1};
        if (::pipe(ready) != 0) return false;
        const pid_t client = ::fork();
        if (client == 0) {
            char word = 0;
            const auto where = loopback<sockaddr_in>(kDoor);
            const UniqueFd in(::socket(AF_INET, SOCK_STREAM, 0));
            const bool heard = ::read(ready[0], &word, 1) == 1 && ::connect(in.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0 &&
                               ::read(in.get(), &word, 1) == 1;
            ::_exit(heard ? 0 : 1);
        }
        const bool served = as_account(account_of_door(sample().accounts, kDoor), [&] {
            const UniqueFd door = listener<sockaddr_in>(kDoor);
            if (!door || ::write(ready[1], "r", 1) != 1) return false;
            const UniqueFd come(::accept(door.get(), nullptr, nullptr));
            return ::write(come.get(), "w", 1) == 1;
        });
        int status = 1;
        return ::waitpid(client, &status, 0) == client && status == 0 && served;
    }));
}

TEST_CASE("guest filter: what an earlier manager left is replaced, what other clusters and the machine have stays; removed, nothing is left") {
    REQUIRE(::geteuid() == 0);
    CHECK(in_own_network([] {
        const GuestFilter theirs{accounts_of("theirs"), {}};
        const std::string chain = filter_chain(sample().accounts);
        bool well = run_program({"/usr/sbin/iptables", "-A", "OUTPUT", "-o", "lo", "-j", "ACCEPT"}, std::chrono::seconds(10)).has_value();
        const std::string before = rules("/usr/sbin/iptables");
        well = well && set_guest_filter(theirs) && set_guest_filter({sample().accounts, {{"", 1, 65535}}});
        well = well && set_guest_filter(sample()) && set_guest_filter(sample());
        for (const char* tool : {"/usr/sbin/iptables", "/usr/sbin/ip6tables"}) {
            const std::string now = rules(tool);
            well = well && count(now, "-j " + chain + "\n") == 1 && count(now, "--dport 1:65535") == 0 && count(now, "-j " + filter_chain(theirs.accounts) + "\n") == 1;
        }
        const std::string now = rules("/usr/sbin/iptables");
        well = well && now.find("-j " + chain + "\n") < now.find("-o lo -j ACCEPT");
        well = well && remove_guest_filter(sample().accounts) && remove_guest_filter(theirs.accounts) && remove_guest_filter(theirs.accounts);
        return well && rules("/usr/sbin/iptables") == before;
    }));
}
