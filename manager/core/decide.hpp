// The parts of the deciding core as free functions over State, one group per topic and file. Only the
// core's own .cpp files include this. Data flows one way: events change records and live facts; those
// queue terminals and pools; planning turns queued work into new records and assignments.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "manager/core/placement.hpp"
#include "manager/core/state.hpp"
#include "protocol/marks.hpp"
#include "protocol/planted.hpp"

namespace understudy::manager {

// ---------------------------------------------------------------- the step under construction
inline void act_now(State& state, Action action) { state.step.now.push_back(std::move(action)); }
inline void act_durable(State& state, Action action) { state.step.after_durable.push_back(std::move(action)); }
void note(State& state, Note::Weight weight, IncidentId incident, std::string text);
[[nodiscard]] std::uint64_t take_id(State& state);
[[nodiscard]] OperationId take_operation(State& state);

// ---------------------------------------------------------------- index.cpp: records and what is derived from them
/// Every change of a node, session or terminal record goes through these, so that the derived indexes
/// follow. `change` receives the record for editing.
template <class Change>
void change_node(State& state, NodeId id, Change&& change);
template <class Change>
void change_session(State& state, SessionId id, Change&& change);
template <class Change>
void change_terminal(State& state, TerminalId id, Change&& change);
void erase_node(State& state, NodeId id);
void erase_session(State& state, SessionId id);
void rebuild_index(State& state);
/// Fit to receive new work: registered, healthy, proven nothing, not draining, host not in maintenance.
[[nodiscard]] bool fit(const State& state, NodeId id);
[[nodiscard]] bool draining(const State& state, const NodeRecord& node);
/// Registered and not given up: what it holds may still be used.
[[nodiscard]] bool reachable(const State& state, NodeId id);
/// Recomputes the candidate sets for one node.
void refresh_node(State& state, NodeId id);
/// A host's hypervisor answers, or does not, in the words of whoever asked it.
void now_answers(State& state, HostId id);
void now_silent(State& state, HostId id, std::string why);
void queue_terminal(State& state, TerminalId id);
void queue_users(State& state, NodeId id);
/// Lets every terminal that waits for a place look again.
void sweep_wanting(State& state);
[[nodiscard]] std::string describe(const State& state, NodeId id);

void unlink_node(State& state, NodeId id);
void link_node(State& state, NodeId id);
void unlink_session(State& state, SessionId id);
void link_session(State& state, SessionId id);
void unlink_terminal(State& state, TerminalId id);
void link_terminal(State& state, TerminalId id);

template <class Change>
void change_node(State& state, NodeId id, Change&& change) {
    unlink_node(state, id);
    NodeRecord& record = state.nodes.edit(id);
    const NodeState before = record.state;
    change(record);
    if (record.state != before) {
        state.live[id].state_since = state.now;
        state.live[id].unanswered = 0;
    }
    link_node(state, id);
    refresh_node(state, id);
}

template <class Change>
void change_session(State& state, SessionId id, Change&& change) {
    unlink_session(state, id);
    change(state.sessions.edit(id));
    link_session(state, id);
}

template <class Change>
void change_terminal(State& state, TerminalId id, Change&& change) {
    unlink_terminal(state, id);
    change(state.terminals.edit(id));
    link_terminal(state, id);
}

// ---------------------------------------------------------------- detection.cpp: signs of life and their absence
void on_node_said(State& state, const NodeSaid& event);
void on_node_disconnected(State& state, NodeId id);
void on_node_timer(State& state, NodeId id);
void arm_node(State& state, NodeId id);
void on_gate_timer(State& state);
/// Lets every held node be given up at once.
void release_gate(State& state);

// ---------------------------------------------------------------- witnesses.cpp
/// Asks others whether they reach a node that is in doubt. Bounded per node and per tick.
void ask_witnesses(State& state, NodeId id, NodeLive& live);
void on_witness_report(State& state, NodeId from, const WitnessReport& report);
/// Somebody has reached it a moment ago: what is wrong is its path to the manager.
[[nodiscard]] bool reached_by_witnesses(const State& state, NodeId id);

// ---------------------------------------------------------------- fencing.cpp: switching hosts off
/// Where a fence agent is configured and nobody on the host is alive, as far as is known: switches it off.
void consider_fencing(State& state, HostId id);
/// Switches it off because somebody wants it: recorded, so a restart does not forget it. Precondition: it has a fence agent.
void fence_by_hand(State& state, HostId id, const std::string& reason);
/// What was wanted before the manager restarted is asked for again.
void resume_fencing(State& state);
[[nodiscard]] bool on_fence_done(State& state, const OperationDone& event);
/// The agent has said "off" a while ago: is it to be believed by now?
void on_fence_timer(State& state, HostId id);
/// Somebody on it was heard, or its hypervisor answered a question of `asked` or later: it is not off any more.
void shows_life(State& state, HostId id, TimePoint asked);

/// The longest a lease granted now can last on a clock that runs slow.
[[nodiscard]] Duration lease_with_margin(const State& state);

// ---------------------------------------------------------------- rebuild.cpp: after the records were lost
[[nodiscard]] bool rebuilding(const State& state);
/// First thing in an incarnation whose records are lost or old. Nothing is planned until check_rebuild ends it.
void begin_rebuild(State& state);
/// An instance with our mark on a host that has not been listed since.
void adopt_instance(State& state, HostId host, const ListedInstance& instance);
/// What the agent of an adopted node says it holds becomes records.
void take_claims(State& state, NodeId id, const Hello& hello);
void check_rebuild(State& state);

// ---------------------------------------------------------------- proof.cpp: being sure
void prove_down(State& state, NodeId id, Proof proof, std::string text, TimePoint seen);
void on_instance_ended(State& state, const InstanceEnded& event);
/// The node must not run any more: records the intent and destroys the instance.
void condemn(State& state, NodeId id, std::string reason);
/// The agent itself says that a session of the present epoch does not run.
void prove_session_ended(State& state, SessionId id, Ending ending, std::string text);

// ---------------------------------------------------------------- memory.cpp: who has what a session knows
/// Nodes that hold, or held a moment ago, something of this session and still belong to it.
[[nodiscard]] std::vector<NodeId> members(const SessionRecord& session);
/// Newest checkpoint that `node` holds for the session, {0,0} when none.
[[nodiscard]] CheckpointInfo newest_checkpoint(const State& state, NodeId node, SessionId session);
/// A silent node: is it the last to have the memory of a session, and is it waited for? Looked at anew each time it is
/// asked; what it is waited for is NodeLive::alone_with.
[[nodiscard]] bool waits_for_last_memory(State& state, NodeId id, NodeLive& live);
/// When that wait is over at the latest.
[[nodiscard]] TimePoint waits_for_last_memory_until(const State& state, const NodeLive& live);
/// Is the node waited for because it alone has the memory of this session?
[[nodiscard]] bool has_last_memory(const State& state, NodeId id, SessionId session);
/// The node is waited for, and its lease is over: nothing on it acts.
[[nodiscard]] bool frozen_with_last_memory(const State& state, NodeId id);
/// A node that may have the memory of a session that nobody else can go on with, is not heard, and is waited for. None:
/// there is none, or it has been waited for long enough.
[[nodiscard]] NodeId awaited_holder(const State& state, const SessionRecord& session);
/// Titles of the applications, for people.
[[nodiscard]] std::string titles_of(const State& state, const std::vector<SessionId>& sessions);
/// "3.5 s"
[[nodiscard]] std::string seconds_text(std::int64_t ms);

// ---------------------------------------------------------------- assignments.cpp: what nodes are told
/// Sends every node concerned what it should be for this terminal, where that differs from what it was
/// told last.
void sync_assignments(State& state, TerminalId id);
/// Tells a node to let go of a session or desktop that is not its any more.
void release_session(State& state, NodeId id, SessionId session, Epoch epoch);
void release_desktop(State& state, NodeId id, TerminalId terminal, Epoch epoch);
void resend_unconfirmed(State& state, NodeId id);
void on_session_status(State& state, NodeId from, const SessionStatus& status);
void on_desktop_status(State& state, NodeId from, const DesktopStatus& status);
void on_layout(State& state, NodeId from, const LayoutReport& report);
/// Compares a registering node's inventory with the records.
void adopt_inventory(State& state, NodeId id, const Hello& hello);
void tell_client(State& state, TerminalId id);
[[nodiscard]] bool desktop_ready(const State& state, const TerminalRecord& terminal);
/// Does the desktop of the present epoch show the picture of every session? A window whose session has nothing to show
/// now says why, and is complete with that: it has an incident of its own.
[[nodiscard]] bool shows_all_windows(const State& state, const TerminalRecord& terminal);

// ---------------------------------------------------------------- presentation.cpp, execution.cpp: planning
void plan_presentation(State& state, TerminalId id);
/// An incident of a desktop ends with its last window: the person has seen the desktop, and each window has its picture.
void conclude_presentation(State& state, TerminalId id);
void plan_session(State& state, SessionId id);
/// May this node go on as a backup of that primary? (Whether it holds anything is another question.)
[[nodiscard]] bool backup_stays(const State& state, NodeId backup, NodeId primary, Separation separation);
/// Takes a node into use for a role.
void take_node(State& state, NodeId id, Role role, std::string reason);
[[nodiscard]] bool too_close(const State& state, NodeId a, NodeId b, Separation separation);
/// Why something waits for a machine, in words.
[[nodiscard]] std::string no_machine(const State& state, const TerminalRecord& terminal, const std::string& what);
void add_need(State& state, TerminalId id, Need need);
[[nodiscard]] const ProfileRecord& profile_of(const State& state, const TerminalRecord& terminal);

// ---------------------------------------------------------------- provisioning.cpp, pools.cpp: machines
void start_create(State& state, NodeId id);
void start_scrub(State& state, NodeId id);
void start_resume(State& state, NodeId id);
/// Notes which operation is under way for a node; an earlier one is forgotten.
void begin_operation(State& state, NodeId id);
void start_destroy(State& state, NodeId id);
void on_operation_done(State& state, const OperationDone& event);
void on_host_listed(State& state, const HostListed& event);
void on_host_timer(State& state, HostId id);
void resume_operations(State& state);
void return_unused(State& state);
void finish_node(State& state, NodeId id);
/// Making this instance came to nothing; a pool where that goes on rests.
void creation_failed(State& state, NodeId id, std::string why);
void check_operation(State& state, NodeId id);
/// Making this one came to nothing on its host; a better host may have to try.
[[nodiscard]] bool may_go_elsewhere(const State& state, const NodeRecord& node);
/// Has the pool as many machines as it may have? Those beyond reach do not count: nobody can say when they will be
/// destroyed, and they serve nobody. What they take of their host stays taken.
[[nodiscard]] bool at_max_total(const PoolLive& live, const PoolRecord& pool);
/// How many of its machines there are beyond max_total, without those that are being destroyed.
[[nodiscard]] std::size_t above_max_total(const PoolLive& live, const PoolRecord& pool);
void plan_pools(State& state);
void on_pool_timer(State& state);
[[nodiscard]] bool avoids(const Need& need, HostId host);
/// Stands still, and its hypervisor could let it continue now.
[[nodiscard]] bool can_resume(const State& state, NodeId id);

// ---------------------------------------------------------------- demand.cpp: what pools learn from their history
/// A machine was taken into use.
void note_taken(State& state, NodeId id);
/// A machine registered: it is proven that they can be made there, and known how long it took.
void made_one(State& state, NodeId id);
void stands_still(State& state, NodeId id);

// ---------------------------------------------------------------- environments.cpp: bundles on machines
/// Has its hypervisor confirmed the bundle of this environment there? Always true for none.
[[nodiscard]] bool has_environment(const State& state, NodeId id, const std::string& environment);
/// Must this session not be told to the node yet?
[[nodiscard]] bool waits_for_environment(const State& state, NodeId id, const SessionRecord& session);
/// Begins to deploy the next bundle that the machine needs, when nothing else is under way.
void plan_deployment(State& state, NodeId id);
void on_deployed(State& state, NodeId id);
void on_deploy_failed(State& state, NodeId id, const Error& error);

// ---------------------------------------------------------------- terminals.cpp, intents.cpp
void on_client_said(State& state, const ClientSaid& event);
void on_client_gone(State& state, ClientId client);
void on_terminal_timer(State& state, TerminalId id);
/// After lost records: a terminal or a machine has obeyed a newer epoch of the desktop than anybody else remembers, and
/// will obey no older. Otherwise nothing.
void catch_up_with(State& state, TerminalId id, Epoch accepted);
void plan_terminal(State& state, TerminalId id);
void release_terminal(State& state, TerminalId id);
void on_intent(State& state, const Intent& intent);

// ---------------------------------------------------------------- incidents.cpp: the flight recorder
IncidentId open_incident(State& state, std::string kind, TerminalId terminal, SessionId session, NodeId node,
                         std::string title, TimePoint first, const char* first_phase);
void mark(State& state, IncidentId id, const char* phase);
void mark_at(State& state, IncidentId id, const char* phase, TimePoint at);
template <class Change>
void change_incident(State& state, IncidentId id, Change&& change) {
    if (state.incidents.find(id) != nullptr) change(state.incidents.edit(id));
}
/// Has it reached this phase?
[[nodiscard]] bool marked(const State& state, IncidentId id, const char* phase);
void close_incident(State& state, IncidentId id);
/// The same thing failed again, or is moved anew, before this one was over.
void supersede(State& state, IncidentId id);
/// Is it about something that still waits for a place to go on?
[[nodiscard]] bool undecided(const State& state, IncidentId id);

}  // namespace understudy::manager
