// What goes wrong in one simulation, as data: drawn from the seed before it starts, printable, composable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/basics.hpp"

namespace understudy::sim {

enum class FaultKind : std::uint8_t {
    loss, delay, duplication, reordering, late_replay,
    partition_symmetric, partition_one_way, manager_cut_off, partition_partial,
    manager_crash, manager_pause, agent_crash, agent_pause, instance_crash, instance_reboot,
    host_crash, domain_loss, hypervisor_unreachable, clock_jump, fence_failing,
    store_slow, store_failing, store_unknown, store_unsynced_lost, store_lost, store_restored,
    creation_slow, creation_failing, creation_reply_lost, start_failing, session_crash,
    resume_failing, deploy_failing, receipt_missing,
    mixed_versions, client_restart, operator_wishes, nonsense,
    people_leave,  ///< many give everything back at once, and come again later
    count
};

[[nodiscard]] const char* name_of(FaultKind kind);

/// One thing that goes wrong, and for how long. `pick` selects subjects when it starts; `strength` is a
/// permille or a number, by kind.
struct Fault {
    FaultKind kind = FaultKind::loss;
    TimePoint at;
    Duration lasts{0};
    std::uint64_t pick = 0;
    std::uint32_t strength = 0;
    bool stays = false;  ///< not healed at the end of the safety phase: frozen as it is
};

struct Options {
    std::uint64_t seed = 1;
    std::uint64_t seeds = 1;
    std::uint32_t jobs = 1;
    std::uint32_t nodes = 100;
    std::uint32_t terminals = 40;
    std::uint32_t hosts = 0;      ///< 0: drawn
    std::uint32_t minutes = 10;   ///< of faults
    std::uint32_t cycles = 0;     ///< terminals released in turn while faults happen; each attaches again
    std::string faults = "all";   ///< "all", "none", or names joined by commas
    std::string plant;            ///< a planted bug to switch on
    bool trace = false;
    bool coverage = false;
    bool large = false;
    bool twice = false;           ///< run every seed twice and compare the trace hashes
};

/// The shape of the simulated site, drawn from the seed inside the options.
struct Plan {
    std::uint32_t hosts = 20;
    std::uint32_t domains = 4;
    std::uint32_t instances_per_host = 6;
    std::uint32_t min_idle = 0;
    std::uint32_t max_idle = 0;
    std::uint32_t max_total = 0;
    std::uint32_t min_paused = 0;
    std::uint32_t disks_per_host = 0;   ///< fewer instances than processors allow; 0: disks are not counted
    bool follows_demand = false;
    bool packs = false;
    bool environments = false;          ///< applications need bundles; the pool prepares one of them
    std::uint32_t applications = 2;
    std::uint32_t presentation_backups = 1;
    std::uint32_t execution_backups = 1;
    std::uint32_t separation = 1;
    std::uint32_t orphans = 0;
    std::uint32_t fenced_permille = 0;  ///< hosts that can be switched off from outside
    Duration calm{60'000'000};    ///< before the first fault
    Duration faults_for{0};
    std::vector<Fault> faults;    ///< by time
    [[nodiscard]] bool faultless() const { return faults.empty(); }
};

/// Draws a plan. Error text when `options.faults` names something unknown.
[[nodiscard]] Plan draw_plan(const Options& options, std::uint64_t seed, std::string& error);

/// Does anything of this kind go wrong in it?
[[nodiscard]] bool has_kind(const Plan& plan, FaultKind kind);

}  // namespace understudy::sim
