// See coverage.hpp.
#include "tests/sim/coverage.hpp"

#include <cstdio>
#include <set>

#include "tests/sim/plan.hpp"

namespace understudy::sim {
namespace {

/// Branches of failover planning and of the simulated world that a batch must reach.
const char* const kRequired[] = {
    "agent.froze_itself", "agent.thawed", "manager.started", "manager.refused_a_version",
    "hypervisor.reply_lost", "hypervisor.creation_failed", "hypervisor.unreachable", "hypervisor.list_failed",
    "store.commit_failed", "store.unknown_and_arrived", "store.unknown_and_lost", "store.unsynced_lost",
    "store.crash_after_sync", "fault.orphans_at_start", "liveness.room_for_all",
    "detection.silent", "detection.gate_closed", "detection.held_by_gate",
    "proof.instance_ended", "proof.destroyed", "proof.lease_expired", "proof.agent_reported",
    "execution.lost_session_alone", "execution.restores_where_it_was", "execution.promotes_newest_checkpoint",
    "execution.hands_over_to_newest_checkpoint", "execution.hand_over_begins", "execution.starts_afresh_on_a_member",
    "execution.starts_afresh_on_a_new_node", "execution.rests_after_crashes", "execution.gives_up_restoring",
    "execution.closed_by_a_person", "execution.waits_for_a_holder", "execution.finds_no_place",
    "execution.no_place_for_a_backup", "execution.replaces_a_backup",
    "presentation.promotes_a_backup", "presentation.moves_on_wish", "presentation.placed_anew",
    "presentation.finds_no_place", "provisioning.outcome_unknown", "provisioning.creation_given_up", "provisioning.ended_while_booting",
    "provisioning.scrubs", "provisioning.pool_has_enough", "provisioning.goes_elsewhere", "provisioning.no_receipt",
    "provisioning.stands_still", "provisioning.resumes", "provisioning.resume_failed", "environments.deploys",
    "environments.deploy_failed", "execution.waits_for_its_environment", "hypervisor.resume_failed",
    "hypervisor.deploy_failed", "hypervisor.no_receipt",
    "fencing.begins", "fencing.by_hand", "fencing.failed", "fencing.waits_for_silence", "fencing.confirmed", "fencing.resumed",
    "fencing.off_already", "fencing.on_again",
};

}  // namespace

bool print_coverage(const std::map<std::string, std::uint64_t>& hit) {
    std::set<std::string> required(std::begin(kRequired), std::end(kRequired));
    for (std::uint8_t kind = 0; kind < static_cast<std::uint8_t>(FaultKind::count); ++kind) {
        required.insert(std::string("fault.") + name_of(static_cast<FaultKind>(kind)));
    }
    std::map<std::string, std::uint64_t> table = hit;
    for (const std::string& name : required) table.try_emplace(name, 0);
    std::puts("coverage marks");
    bool complete = true;
    for (const auto& [name, count] : table) {
        const bool missing = count == 0 && required.contains(name);
        complete = complete && !missing;
        std::printf("  %12llu  %s%s\n", static_cast<unsigned long long>(count), name.c_str(), missing ? "   NEVER HIT" : "");
    }
    return complete;
}

}  // namespace understudy::sim
