// See durations.hpp.
#include "manager/core/durations.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace understudy::manager {
namespace {

constexpr std::size_t kLookedAt = 20;  ///< of each kind, newest first

std::optional<std::int64_t> phase_at(const IncidentRecord& incident, const char* name) {
    for (const PhaseMark& phase : incident.phases) {
        if (phase.name == name) return phase.at_us;
    }
    return std::nullopt;
}

Duration median(std::vector<std::int64_t>& values) {
    if (values.empty()) return Duration{0};
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return Duration(*middle);
}

}  // namespace

Durations::Durations(const State& state) : state_(state) {
    struct Samples {
        std::vector<std::int64_t> whole;
        std::vector<std::int64_t> restore;
    };
    std::map<std::string, Samples> samples;
    const auto& rows = state.incidents.rows();
    for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
        const IncidentRecord& incident = row->second;
        const auto picture = phase_at(incident, "picture");
        if (incident.open || !picture) continue;
        Samples& kind = samples[incident.kind];
        if (kind.whole.size() >= kLookedAt) continue;
        kind.whole.push_back(*picture);
        ++measured_;
        const auto durable = phase_at(incident, "durable");
        const auto restored = phase_at(incident, "restored");
        if (durable && restored && *restored > *durable) kind.restore.push_back(*restored - *durable);
    }
    for (auto& [kind, found] : samples) kinds_[kind] = {median(found.whole), median(found.restore)};
}

Duration Durations::expected(const std::string& kind, const std::string& flavour, std::uint32_t turns) const {
    const auto known = kinds_.find(kind);
    if (known == kinds_.end()) return Duration{0};
    Duration making{0};
    if (!flavour.empty()) {
        const auto pool = state_.pool_live.find(flavour);
        if (pool == state_.pool_live.end() || pool->second.usual.made == Duration{0}) return Duration{0};
        making = pool->second.usual.made;
    }
    return known->second.whole + known->second.restore * static_cast<std::int64_t>(turns) + making;
}

}  // namespace understudy::manager
