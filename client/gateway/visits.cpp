// See visits.hpp.
#include "client/gateway/visits.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace understudy::gateway {
namespace {

constexpr std::size_t kNetworkBytes = 8;

}  // namespace

std::string group_of(std::string_view address) {
    const std::string text(address.substr(0, address.find('%')));
    in6_addr six{};
    if (::inet_pton(AF_INET6, text.c_str(), &six) != 1) return text;
    std::array<char, INET6_ADDRSTRLEN> out{};
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
        ::inet_ntop(AF_INET, &six.s6_addr[12], out.data(), out.size());
        return out.data();
    }
    std::fill(std::begin(six.s6_addr) + kNetworkBytes, std::end(six.s6_addr), std::uint8_t{0});
    ::inet_ntop(AF_INET6, &six, out.data(), out.size());
    return std::string(out.data()) + "/64";
}

std::shared_ptr<Visit> Visits::enter(std::string_view address) {
    auto visit = std::make_shared<Visit>(group_of(address));
    const auto same = std::count_if(visits_.begin(), visits_.end(), [&](const auto& one) { return !one->known && one->address == visit->address; });
    if (static_cast<std::size_t>(same) >= limits_.strangers_per_address) displace(visit->address);
    if (visits_.size() >= limits_.in_all && !displace({})) return nullptr;
    visits_.push_back(visit);
    return visit;
}

bool Visits::displace(std::string_view address) {
    const auto oldest = std::find_if(visits_.begin(), visits_.end(), [&](const auto& one) { return !one->known && (address.empty() || one->address == address); });
    if (oldest == visits_.end()) return false;
    const std::shared_ptr<Visit> visit = *oldest;
    visits_.erase(oldest);
    ++displaced_;
    if (visit->end) visit->end();
    return true;
}

void Visits::leave(const std::shared_ptr<Visit>& visit) { visits_.remove(visit); }

void Visits::end_those(const std::function<bool(const Visit&)>& lapsed) {
    // A copy: whoever is ended may leave at once.
    for (const auto& visit : std::list(visits_)) {
        if (lapsed(*visit) && visit->end) visit->end();
    }
}

}  // namespace understudy::gateway
