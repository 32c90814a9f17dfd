// See plan.hpp.
#include "tests/sim/plan.hpp"

#include <algorithm>

namespace understudy::sim {
namespace {

struct KindTraits {
    const char* name;
    std::int64_t shortest_ms;
    std::int64_t longest_ms;
    std::uint32_t weakest;
    std::uint32_t strongest;
    std::uint32_t stays_permille;  ///< how often it is left as it is in the liveness phase
};

constexpr KindTraits kTraits[] = {
    {"loss", 2000, 60000, 10, 400, 0},
    {"delay", 2000, 60000, 10, 3000, 0},
    {"duplication", 2000, 60000, 50, 500, 0},
    {"reordering", 2000, 60000, 20, 800, 0},
    {"late_replay", 2000, 60000, 10, 100, 0},
    {"partition_symmetric", 500, 60000, 1, 12, 300},
    {"partition_one_way", 500, 60000, 1, 12, 300},
    {"manager_cut_off", 2000, 40000, 500, 1000, 0},
    {"partition_partial", 500, 60000, 1, 12, 0},
    {"manager_crash", 100, 40000, 0, 0, 0},
    {"manager_pause", 100, 30000, 0, 0, 0},
    {"agent_crash", 500, 20000, 1, 4, 0},
    {"agent_pause", 200, 40000, 1, 6, 200},
    {"instance_crash", 0, 0, 1, 6, 0},
    {"instance_reboot", 2000, 15000, 1, 3, 0},
    {"host_crash", 5000, 120000, 1, 2, 300},
    {"domain_loss", 5000, 120000, 1, 1, 100},
    {"hypervisor_unreachable", 5000, 90000, 1, 3, 200},
    {"clock_jump", 0, 0, 1, 4, 0},
    {"fence_failing", 5000, 120000, 200, 1000, 0},
    {"store_slow", 1000, 30000, 20, 6000, 0},
    {"store_failing", 500, 30000, 100, 1000, 0},
    {"store_unknown", 500, 30000, 100, 800, 0},
    {"store_unsynced_lost", 100, 20000, 0, 0, 0},
    {"store_lost", 100, 30000, 0, 0, 0},
    {"store_restored", 100, 30000, 5, 300, 0},
    {"creation_slow", 5000, 60000, 2, 20, 0},
    {"creation_failing", 5000, 120000, 100, 1000, 200},
    {"creation_reply_lost", 5000, 60000, 100, 900, 0},
    {"start_failing", 2000, 30000, 100, 700, 0},
    {"session_crash", 0, 0, 1, 6, 0},
    {"resume_failing", 5000, 60000, 100, 1000, 200},
    {"deploy_failing", 5000, 60000, 100, 1000, 0},
    {"receipt_missing", 5000, 60000, 100, 1000, 0},
    {"mixed_versions", 10000, 60000, 100, 600, 0},
    {"client_restart", 100, 20000, 1, 6, 0},
    {"operator_wishes", 0, 0, 1, 3, 0},
    {"nonsense", 0, 0, 1, 20, 0},
    {"people_leave", 5000, 60000, 5, 40, 0},
};
static_assert(std::size(kTraits) == static_cast<std::size_t>(FaultKind::count));

const KindTraits& traits(FaultKind kind) { return kTraits[static_cast<std::size_t>(kind)]; }

bool chosen_kinds(const std::string& list, std::vector<FaultKind>& kinds, std::string& error) {
    std::size_t at = 0;
    while (at <= list.size()) {
        const std::size_t comma = std::min(list.find(',', at), list.size());
        const std::string name = list.substr(at, comma - at);
        at = comma + 1;
        const auto* found = std::find_if(std::begin(kTraits), std::end(kTraits),
                                         [&](const KindTraits& kind) { return name == kind.name; });
        if (found == std::end(kTraits)) {
            error = "there is no fault named '" + name + "'";
            return false;
        }
        kinds.push_back(static_cast<FaultKind>(found - std::begin(kTraits)));
    }
    return true;
}

Fault draw_fault(Rng& rng, FaultKind kind, TimePoint at) {
    const KindTraits& kind_traits = traits(kind);
    Fault fault;
    fault.kind = kind;
    fault.at = at;
    fault.lasts = Duration(rng.between(kind_traits.shortest_ms, kind_traits.longest_ms) * 1000);
    if (rng.permille(500)) fault.lasts /= 4;
    fault.pick = rng.next();
    fault.strength = static_cast<std::uint32_t>(rng.between(kind_traits.weakest, kind_traits.strongest));
    fault.stays = rng.permille(kind_traits.stays_permille);
    return fault;
}

void draw_site(Plan& plan, Rng& rng, const Options& options) {
    plan.instances_per_host = static_cast<std::uint32_t>(rng.between(4, 8));
    plan.hosts = options.hosts != 0 ? options.hosts
                                    : std::max(3u, options.nodes * 5 / 4 / plan.instances_per_host + 1);
    if (options.hosts != 0) plan.instances_per_host = std::max(2u, options.nodes * 5 / 4 / options.hosts + 1);
    plan.domains = static_cast<std::uint32_t>(rng.between(2, 5));
    plan.applications = static_cast<std::uint32_t>(rng.between(1, 2));
    plan.presentation_backups = static_cast<std::uint32_t>(rng.between(0, 9)) < 8 ? 1 : 2;
    plan.execution_backups = static_cast<std::uint32_t>(rng.between(0, 9)) < 7 ? 1 : 2;
    if (rng.permille(60)) plan.execution_backups = 0;
    plan.separation = rng.permille(300) ? 2 : 1;
    plan.max_total = options.nodes;
    if (rng.permille(700)) {
        plan.min_idle = options.nodes / 3;
        plan.max_idle = options.nodes;
    } else {
        plan.min_idle = static_cast<std::uint32_t>(rng.between(0, 4));
        plan.max_idle = plan.min_idle + static_cast<std::uint32_t>(rng.between(0, 6));
    }
    plan.fenced_permille = rng.permille(600) ? 1000 : rng.permille(500) ? 500 : 0;
    if (rng.permille(400)) plan.min_paused = static_cast<std::uint32_t>(rng.between(1, 6));
    if (rng.permille(250) && plan.instances_per_host > 3) plan.disks_per_host = plan.instances_per_host - 1;
    plan.follows_demand = rng.permille(400);
    plan.packs = rng.permille(200);
    plan.environments = rng.permille(400);
    plan.orphans = rng.permille(300) ? static_cast<std::uint32_t>(rng.between(1, 5)) : 0;
}

void draw_large(Plan& plan) {
    plan.hosts = 1000;
    plan.instances_per_host = 20;
    plan.domains = 10;
    plan.applications = 1;
    plan.max_total = 20000;
    plan.min_idle = 20000;
    plan.max_idle = 20000;
    plan.calm = Duration(150'000'000);
    plan.faults_for = Duration(60'000'000);
    Fault fault;
    fault.kind = FaultKind::domain_loss;
    fault.at = TimePoint{} + plan.calm;
    fault.lasts = Duration(3'600'000'000);
    fault.pick = 3;
    fault.strength = 1;
    fault.stays = true;
    plan.faults.push_back(fault);
}

}  // namespace

bool has_kind(const Plan& plan, FaultKind kind) {
    return std::any_of(plan.faults.begin(), plan.faults.end(), [kind](const Fault& fault) { return fault.kind == kind; });
}

const char* name_of(FaultKind kind) { return traits(kind).name; }

Plan draw_plan(const Options& options, std::uint64_t seed, std::string& error) {
    Plan plan;
    if (options.large) {
        draw_large(plan);
        return plan;
    }
    Rng rng(seed * 0x9E3779B97F4A7C15ull + 77);
    draw_site(plan, rng, options);
    plan.faults_for = Duration(static_cast<std::int64_t>(options.minutes) * 60'000'000);
    std::vector<FaultKind> kinds;
    if (options.faults == "none") return plan;
    if (options.faults == "all") {
        if (rng.permille(40)) return plan;  // a share of quiet runs, for S10
        const auto chance = static_cast<std::uint32_t>(rng.between(80, 600));
        Rng later(seed * 0x9E3779B97F4A7C15ull + 78);
        for (std::size_t kind = 0; kind < std::size(kTraits); ++kind) {
            // Added later, drawn from numbers of its own: a seed without it keeps its history.
            Rng& source = static_cast<FaultKind>(kind) == FaultKind::people_leave ? later : rng;
            if (source.permille(chance)) kinds.push_back(static_cast<FaultKind>(kind));
        }
        if (kinds.empty()) kinds.push_back(FaultKind::instance_crash);
    } else if (!chosen_kinds(options.faults, kinds, error)) {
        return plan;
    }
    const std::int64_t spacing_ms = rng.between(2000, 30000);
    TimePoint at = TimePoint{} + plan.calm;
    const TimePoint end = at + plan.faults_for;
    while (true) {
        at += Duration(rng.between(100, spacing_ms * 2) * 1000);
        if (at >= end) break;
        plan.faults.push_back(draw_fault(rng, kinds[rng.below(kinds.size())], at));
    }
    return plan;
}

}  // namespace understudy::sim
