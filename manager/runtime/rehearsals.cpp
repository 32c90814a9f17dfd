// See rehearsals.hpp.
#include "manager/runtime/rehearsals.hpp"

#include <utility>

#include "manager/runtime/rehearsal_json.hpp"

namespace understudy::manager {
namespace {

constexpr int kShare = 10;  ///< rehearsing takes at most this part of the time while others wait for the loop

}  // namespace

const std::string& Rehearsals::loss(const Core& core, HostId host, std::uint64_t version) {
    Kept& kept = kept_[host];
    const Moment now = clock_();
    const bool current = !kept.json.empty() && kept.version == version;
    if (current || (!kept.json.empty() && now.at < free_at_)) return kept.json;
    std::erase_if(kept_, [&](const auto& entry) { return core.state().hosts.find(entry.first) == nullptr; });
    const Rehearsal rehearsal = rehearse_loss(core, host, now);
    kept.version = version;
    kept.json = rehearsal_json(core.state(), rehearsal, "host " + core.state().hosts.at(host).name + " dies now", now.wall_ms);
    free_at_ = now.at + (clock_().at - now.at) * kShare;
    return kept.json;
}

std::string Rehearsals::wish(const Core& core, const Wish& wish, const std::string& title, std::uint32_t& code, std::string& text) {
    const Moment now = clock_();
    const Rehearsal rehearsal = rehearse(core, wish, now);
    code = rehearsal.code;
    text = rehearsal.text;
    return rehearsal_json(core.state(), rehearsal, title, now.wall_ms);
}

}  // namespace understudy::manager
