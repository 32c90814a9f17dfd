// See guest_filter.hpp.
#include "manager/adapters/hypervisor/guest_filter.hpp"

#include <charconv>
#include <chrono>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/adapters/system/run_program.hpp"
#include "manager/runtime/unique_fd.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr std::chrono::seconds kFilterPatience{20};
/// For the lock of other programs that change the filter.
constexpr const char* kWait = "10";
/// A pipe takes so much without a reader.
constexpr std::size_t kMostText = 60'000;

std::string range_of(const AccountRange& accounts) { return std::to_string(accounts.first) + "-" + std::to_string(accounts.last); }

/// The rule that leads to the chain, as iptables wants it in words.
std::vector<std::string> hook_words(const AccountRange& accounts) {
    return {"OUTPUT", "-m", "owner", "--uid-owner", range_of(accounts), "-j", filter_chain(accounts)};
}

std::string hook_line(const char* what, const AccountRange& accounts) {
    std::string line = what;
    for (const std::string& word : hook_words(accounts)) line += " " + word;
    return line + "\n";
}

bool is_numeric(const std::string& address) {
    in_addr ignored{};
    return ::inet_pton(AF_INET, address.c_str(), &ignored) == 1;
}

struct Tools {
    IpFamily family;
    const char* ask;
    const char* change;
};
constexpr Tools kTools[] = {{IpFamily::ipv4, "/usr/sbin/iptables", "/usr/sbin/iptables-restore"},
                            {IpFamily::ipv6, "/usr/sbin/ip6tables", "/usr/sbin/ip6tables-restore"}};

/// One that was built without IPv6, or has it off, has nothing that had to be closed.
bool has(IpFamily family) { return family == IpFamily::ipv4 || ::access("/proc/net/if_inet6", F_OK) == 0; }

Result<Hook> look_for_hook(const Tools& tools, const AccountRange& accounts) {
    std::vector<std::string> command{tools.ask, "-w", kWait, "-C"};
    for (std::string& word : hook_words(accounts)) command.push_back(std::move(word));
    const auto asked = run_with_input(command, {}, kFilterPatience);
    if (!asked) return tl::unexpected(asked.error());
    // It has several ways to say no, one of them for a chain that there is not yet. What is really wrong the change will say.
    return asked->status == 0 ? Hook::present : Hook::absent;
}

Result<> change(const Tools& tools, const std::string& text) {
    if (text.size() > kMostText) {
        return failure(ErrorCode::limit, "the packet filter for guests would have too many rules: let fewer enrolled machines be on this one");
    }
    const auto done = run_with_input({tools.change, "-w", kWait, "--noflush"}, text, kFilterPatience);
    if (!done) return tl::unexpected(done.error());
    if (done->status != 0) return failure(ErrorCode::failed, std::string(tools.change) + " failed: " + done->text.substr(0, done->text.find('\n')));
    return {};
}

template <class Text>
Result<> for_each_family(const AccountRange& accounts, const Text& text) {
    for (const Tools& tools : kTools) {
        if (!has(tools.family)) continue;
        auto done = look_for_hook(tools, accounts).and_then([&](Hook hook) { return change(tools, text(tools.family, hook)); });
        if (!done) return done;
    }
    return {};
}

}  // namespace

std::string filter_chain(const AccountRange& accounts) { return "understudy-" + std::to_string(accounts.first); }

std::vector<FilterOpening> opening_to(std::string_view place, std::string_view loopback_alias) {
    if (const auto scheme = place.find("://"); scheme != std::string_view::npos) place.remove_prefix(scheme + 3);
    const auto colon = place.rfind(':');
    if (colon == std::string_view::npos) return {};
    std::uint16_t port = 0;
    const auto [end, problem] = std::from_chars(place.data() + colon + 1, place.data() + place.size(), port);
    if (problem != std::errc() || end != place.data() + place.size() || port == 0) return {};
    std::string address(place.substr(0, colon));
    if (address == loopback_alias || address == "localhost") address = kLoopback;
    return {{is_numeric(address) ? address : std::string(), port, port}};
}

std::string filter_text(const GuestFilter& filter, IpFamily family, Hook hook) {
    const std::string rule = "-A " + filter_chain(filter.accounts) + " ";
    std::string text = "*filter\n:" + filter_chain(filter.accounts) + " - [0:0]\n";
    // Without a first packet there is no connection, so the others need no look; answers to who came in by a door are among them.
    text += rule + "-p tcp ! --syn -j RETURN\n";
    for (const FilterOpening& opening : filter.openings) {
        if (family == IpFamily::ipv6) break;
        text += rule + "-o lo " + (opening.address.empty() ? std::string() : "-d " + opening.address + " ") + "-p tcp --dport " +
                std::to_string(opening.first_port) + ":" + std::to_string(opening.last_port) + " -j RETURN\n";
    }
    text += rule + "-o lo -p tcp -j REJECT --reject-with tcp-reset\n";
    text += rule + "-o lo -j REJECT\n";
    // These also come back to whoever listens on this machine.
    text += rule + "-d " + (family == IpFamily::ipv4 ? "224.0.0.0/4" : "ff00::/8") + " -j REJECT\n";
    if (family == IpFamily::ipv4) text += rule + "-d 255.255.255.255 -j REJECT\n";
    if (hook == Hook::present) text += hook_line("-D", filter.accounts);
    return text + hook_line("-I", filter.accounts) + "COMMIT\n";
}

std::string removal_text(const AccountRange& accounts, Hook hook) {
    // Named first: then it is there, and empty.
    return "*filter\n:" + filter_chain(accounts) + " - [0:0]\n" + (hook == Hook::present ? hook_line("-D", accounts) : std::string()) + "-X " +
           filter_chain(accounts) + "\nCOMMIT\n";
}

bool is_here(const std::string& address) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    if (::inet_pton(AF_INET, address.c_str(), &where.sin_addr) != 1) return false;
    const UniqueFd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return probe && ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
}

Result<> set_guest_filter(const GuestFilter& filter) {
    return for_each_family(filter.accounts, [&](IpFamily family, Hook hook) { return filter_text(filter, family, hook); });
}

Result<> remove_guest_filter(const AccountRange& accounts) {
    return for_each_family(accounts, [&](IpFamily, Hook hook) { return removal_text(accounts, hook); });
}

}  // namespace understudy::manager
