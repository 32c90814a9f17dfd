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
    ++displaced_;
    end(oldest);
    return true;
}

void Visits::end(std::list<std::shared_ptr<Visit>>::iterator which) {
    const std::shared_ptr<Visit> visit = *which;
    visits_.erase(which);
    if (visit->end) visit->end();
}

bool Visits::belongs_to(Visit& visit, Caller caller) {
    visit.known = caller.role != Role::none;
    visit.caller = std::move(caller);
    if (!visit.known) return true;
    const auto same = [&](const auto& one) { return one->known && one->caller.name == visit.caller.name && one->caller.session.empty() == visit.caller.session.empty(); };
    if (static_cast<std::size_t>(std::count_if(visits_.begin(), visits_.end(), same)) > limits_.per_account) {
        end(std::find_if(visits_.begin(), visits_.end(), [&](const auto& one) { return same(one) && one.get() != &visit; }));
    }
    const auto counted = [](const auto& one) { return one->known && one->caller.role != Role::administrator; };
    return visit.caller.role == Role::administrator ||
           static_cast<std::size_t>(std::count_if(visits_.begin(), visits_.end(), counted)) + limits_.reserve <= limits_.in_all;
}

void Visits::leave(const std::shared_ptr<Visit>& visit) { visits_.remove(visit); }

void Visits::end_those(const std::function<bool(const Visit&)>& lapsed) {
    // A copy: whoever is ended may leave at once.
    for (const auto& visit : std::list(visits_)) {
        if (lapsed(*visit) && visit->end) visit->end();
    }
}

}  // namespace understudy::gateway
