// What a guest reaches of this machine. QEMU's user-mode network makes connections for it, under QEMU's own account: to
// the whole loopback, unless somebody says no. A packet filter by account does: TCP connections may be begun to the
// manager and to doors, and nothing else of this machine is reached. What comes in through a door is not concerned, nor
// is the network outside. One chain per cluster, in the machine's own filter (iptables, ip6tables); it stays while
// instances run, also without a manager, and one that a manager left behind does no harm: nobody else has its accounts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "manager/adapters/hypervisor/qemu_account.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// Where on this machine guests may begin TCP connections.
struct FilterOpening {
    std::string address;  ///< IPv4; empty: any
    std::uint16_t first_port = 0;
    std::uint16_t last_port = 0;
    bool operator==(const FilterOpening&) const = default;
};

struct GuestFilter {
    AccountRange accounts;
    std::vector<FilterOpening> openings;
};

enum class IpFamily : std::uint8_t { ipv4, ipv6 };
/// Whether packets are sent to the chain already, by an earlier manager.
enum class Hook : std::uint8_t { absent, present };

// ---- pure

/// The name of the chain.
[[nodiscard]] std::string filter_chain(const AccountRange& accounts);

/// As a guest names a place ("tcp://10.0.2.2:7400", "localhost:7400"), on this machine: `loopback_alias` is its loopback, and
/// an address that is a name may be any. Nothing when it has no port.
[[nodiscard]] std::vector<FilterOpening> opening_to(std::string_view place, std::string_view loopback_alias);

/// What iptables-restore (ip6tables-restore) is told: the chain is made anew and asked before anything else, in one step.
[[nodiscard]] std::string filter_text(const GuestFilter& filter, IpFamily family, Hook hook);
/// The chain and every trace of it go.
[[nodiscard]] std::string removal_text(const AccountRange& accounts, Hook hook);

// ---- on this machine; needs root

/// An address is one of this machine's.
[[nodiscard]] bool is_here(const std::string& address);
/// Errors: `failed`, with the words of iptables. What was set before stays then.
[[nodiscard]] Result<> set_guest_filter(const GuestFilter& filter);
[[nodiscard]] Result<> remove_guest_filter(const AccountRange& accounts);

}  // namespace understudy::manager
