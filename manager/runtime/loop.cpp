// See loop.hpp.
#include "manager/runtime/loop.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "manager/core/state.hpp"
#include "manager/runtime/verbs.hpp"
#include "protocol/failpoint.hpp"

namespace understudy::manager {
namespace {

constexpr int kPeerEventsPerTurn = 20000;  ///< a flood must not keep the core from its deadlines,
constexpr Duration kPeerTimePerTurn{50'000};  ///< neither by its number nor by its weight
constexpr int kPeerEventsPerLook = 16;
constexpr Duration kPushInterval{100'000};
constexpr Duration kBreathInterval{1'000'000};  ///< when nothing but heartbeats came
constexpr int kPushShare = 20;             ///< making views takes at most this part of the time
constexpr Duration kWatchFor{90'000'000};  ///< a watcher repeats itself every 30 s
constexpr Duration kReapInterval{500'000};
constexpr std::size_t kMostProbes = 16;
constexpr std::size_t kMostWatchers = 256;

std::int64_t microseconds(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

/// The step of an open failover that a node's message is about to take; nullptr: none.
const char* step_of(const State& state, const Message& message) {
    const auto open = [&](IncidentId id) {
        const IncidentRecord* incident = state.incidents.find(id);
        return incident != nullptr && incident->open;
    };
    if (const auto* session = std::get_if<SessionStatus>(&message)) {
        const auto live = state.session_live.find(session->session);
        if (session->duty != Duty::primary || session->phase != Phase::running || live == state.session_live.end()) return nullptr;
        return open(live->second.incident) ? "session.restored" : nullptr;
    }
    const auto* desktop = std::get_if<DesktopStatus>(&message);
    if (desktop == nullptr || desktop->duty != Duty::primary || desktop->phase != Phase::running) return nullptr;
    const auto live = state.terminal_live.find(desktop->terminal);
    if (live != state.terminal_live.end() && open(live->second.incident)) return "desktop.running";
    return std::any_of(desktop->windows.begin(), desktop->windows.end(), [&](const WindowStatus& window) {
        const auto session = state.session_live.find(window.session);
        return window.picture && session != state.session_live.end() && open(session->second.incident);
    }) ? "window.drawn" : nullptr;
}

bool sees_new_picture(const Message& message) {
    const auto* seen = std::get_if<TerminalSeen>(&message);
    return seen != nullptr && seen->incident && seen->what == "picture";
}

}  // namespace

Moment Loop::read_clock() {
    return {TimePoint(Duration(microseconds(CLOCK_MONOTONIC))), microseconds(CLOCK_REALTIME) / 1000};
}

Loop::Loop(LoopParts parts, LoopOptions options, Core core, StoreHead loaded)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      core_(std::move(core)),
      configured_(parts_.peers),
      enrolment_(parts_.peers, parts_.keys, parts_.log, options_.kept_keys),
      acts_(parts_.audit),
      outlet_(core_, parts_.peers, parts_.hypervisors, parts_.log,
              [this](ClientId client, const AdminReply& reply) { acts_.answered(client, reply, read_clock().wall_ms); }),
      dispatcher_(options_.dispatcher, loaded, options_.writer, parts_.store, parts_.sealer, outlet_) {
    extras_.version = options_.version;
    extras_.alarms = options_.alarms;
    // What an instance had left of its time is not known here, and bounded by how long it may boot.
    for (const auto& [node, given] : options_.instance_keys) admit_instance(node, given.key, given.one_time);
}

void Loop::start(const std::vector<Wish>& wishes) {
    const Moment now = read_clock();
    Step step = core_.start(now);
    parts_.peers.set_incarnation(core_.state().manager.get().incarnation);
    acts_.set_incarnation(core_.state().manager.get().incarnation);
    parts_.log(LogWeight::notice, "incarnation " + std::to_string(core_.state().manager.get().incarnation) + " begins");
    take_step(now, std::move(step));
    if (!options_.images.empty()) tell(ImagesKnown{options_.images});
    for (const Wish& wish : wishes) tell(Intent{{}, 0, "configuration", wish});
    admit_peers(options_.peers);
}

// ---- core and dispatcher

void Loop::take_step(Moment now, Step step) {
    wake_at_ = step.wake_at;
    if (!step.writes.empty() || !step.after_durable.empty()) note_change();
    dispatcher_.accept(now.at, std::move(step));
}

void Loop::tell(const Event& event) {
    const Moment now = read_clock();
    take_step(now, core_.handle(now, event));
    tell_what_left(now);
}

void Loop::tell_what_left(Moment now) {
    while (const std::optional<Event> event = dispatcher_.take_event()) take_step(now, core_.handle(now, *event));
}

// ---- turns

std::chrono::milliseconds Loop::time_left(std::chrono::milliseconds limit) const {
    const TimePoint now = read_clock().at;
    TimePoint next = std::min({now + std::chrono::duration_cast<Duration>(limit), wake_at_, dispatcher_.wake_at(), next_reap_});
    if (!watchers_.empty() && changed_) next = std::min(next, next_push_);
    if (!watchers_.empty() && breathing_) next = std::min(next, std::max(next_push_, view_made_ + kBreathInterval));
    if (next <= now) return std::chrono::milliseconds(0);
    // Rounded up: waking too early would turn the last millisecond into a busy wait.
    return std::chrono::ceil<std::chrono::milliseconds>(next - now);
}

void Loop::turn(std::chrono::milliseconds limit, std::span<const int> others) {
    std::vector<int> descriptors{parts_.mailbox.descriptor(), processes_.descriptor()};
    descriptors.insert(descriptors.end(), others.begin(), others.end());
    parts_.peers.wait(time_left(limit), descriptors);
    take_ends_and_letters();
    take_peers();
    // Time comes last: what was waiting when the deadline came is heard before anybody is blamed.
    Moment now = read_clock();
    if (now.at >= wake_at_) tell(Woken{});
    now = read_clock();
    if (now.at >= dispatcher_.wake_at()) {
        dispatcher_.woken(now.at);
        tell_what_left(now);
    }
    push_views(now.at);
    if (now.at >= next_reap_) {
        processes_.reap_orphans(now.at);
        next_reap_ = now.at + kReapInterval;
    }
}

void Loop::settle(std::chrono::milliseconds patience) {
    const TimePoint limit = read_clock().at + std::chrono::duration_cast<Duration>(patience);
    const std::array<int, 1> others{parts_.mailbox.descriptor()};
    while (!dispatcher_.quiet() && !dispatcher_.fatal() && read_clock().at < limit) {
        parts_.peers.wait(std::chrono::milliseconds(20), others);
        take_ends_and_letters();
        dispatcher_.woken(read_clock().at);
    }
}

// ---- processes and workers

void Loop::take_ends_and_letters() {
    const std::vector<ProcessWatch::Ended> ended = processes_.look();
    // Taken after the look: a process that was stopped on purpose was announced before it was touched.
    std::vector<Arrival> letters = parts_.mailbox.take_all();
    for (const Arrival& letter : letters) {
        if (const auto* forgotten = std::get_if<ProcessForgotten>(&letter)) processes_.remove(forgotten->node);
    }
    for (const ProcessWatch::Ended& end : ended) {
        const auto ending = processes_.confirm(end);
        if (!ending) continue;
        parts_.log(LogWeight::notice, "instance " + to_string(end.node) + " ended: " + ending->cause);
        note_change();
        UNDERSTUDY_FAILPOINT("end.seen");
        tell(InstanceEnded{end.node, ending->cause, read_clock().at, ending->by_itself});
        UNDERSTUDY_FAILPOINT("end.handled");
    }
    for (Arrival& letter : letters) take_letter(letter);
}

void Loop::take_letter(Arrival& arrival) {
    note_change();
    if (auto* commit = std::get_if<CommitAnswer>(&arrival)) {
        const Moment now = read_clock();
        if (commit->outcome != CommitOutcome::committed) parts_.log(LogWeight::warning, "the store: " + commit->reason);
        dispatcher_.commit_answered(now.at, *commit);
        tell_what_left(now);
    } else if (auto* head = std::get_if<HeadAnswer>(&arrival)) {
        const Moment now = read_clock();
        dispatcher_.head_answered(now.at, head->head);
        tell_what_left(now);
    } else if (auto* done = std::get_if<OperationDone>(&arrival)) {
        if (!done->outcome) parts_.log(LogWeight::warning, "hypervisor: " + done->outcome.error().message);
        tell(*done);
    } else if (auto* listed = std::get_if<HostListed>(&arrival)) {
        if (!listed->instances) parts_.log(LogWeight::warning, "hypervisor: " + listed->instances.error().message);
        tell(*listed);
    } else if (auto* issued = std::get_if<IdentityIssued>(&arrival)) {
        admit_instance(issued->node, issued->public_key, issued->one_time);
    } else if (auto* revoked = std::get_if<IdentityRevoked>(&arrival)) {
        enrolment_.revoke(revoked->node, true);
    } else if (auto* kept = std::get_if<KeysKept>(&arrival)) {
        enrolment_.kept(*kept);
    } else if (auto* started = std::get_if<ProcessStarted>(&arrival)) {
        processes_.add(started->node, started->pid, std::move(started->process));
    } else if (auto* stopped = std::get_if<InstanceStopped>(&arrival)) {
        parts_.log(LogWeight::notice, "instance " + to_string(stopped->node) + " ended: " + stopped->cause);
        tell(InstanceEnded{stopped->node, stopped->cause, read_clock().at, stopped->by_itself});
    } else if (auto* known = std::get_if<AccelerationKnown>(&arrival)) {
        parts_.log(LogWeight::notice, "host " + known->host + " runs instances with " + known->acceleration + ": " + known->reason);
        extras_.acceleration[known->host] = known->acceleration;
        extras_.acceleration_reason[known->host] = known->reason;
    } else if (auto* probed = std::get_if<HostProbed>(&arrival)) {
        take_probe(*probed);
    } else if (auto* written = std::get_if<AuditWritten>(&arrival)) {
        take_recorded(*written);
    } else if (auto* read = std::get_if<AuditRead>(&arrival)) {
        if (read->json) parts_.peers.send(read->client, AdminReply{read->request, 0, "done", std::move(*read->json)});
        else refuse(read->client, read->request, read->json.error());
    } else if (auto* remark = std::get_if<Remark>(&arrival)) {
        parts_.log(remark->alarm ? LogWeight::alarm : LogWeight::warning, remark->text);
    }
}

void Loop::admit_instance(NodeId node, const std::string& key, bool one_time) {
    enrolment_.give(node, "us-" + to_string(node), {key, one_time, one_time ? read_clock().at + options_.one_time_life : kNever});
}

/// Machines that a person gave a one-time key. A time that is over already is left to be said to whoever comes with it.
void Loop::give_machines_their_keys(const std::vector<ConfiguredPeer>& peers) {
    const Moment now = read_clock();
    std::map<std::string, const ConfiguredPeer*> given;
    for (const ConfiguredPeer& peer : peers) {
        if (!peer.one_time_key.empty()) given.emplace(peer.identity.name, &peer);
    }
    for (const auto& [id, node] : core_.state().nodes.rows()) {
        if (node.kind != NodeKind::enrolled) continue;
        const auto peer = given.find(node.name);
        if (peer == given.end()) {
            if (enrolment_.knows(id)) enrolment_.revoke(id, false);
            continue;
        }
        const Duration left = std::chrono::milliseconds(peer->second->until_wall_ms - now.wall_ms);
        enrolment_.give(id, node.name, {peer->second->one_time_key, true, now.at + left});
    }
}

ConfiguredPeers::Change Loop::admit_peers(const std::vector<ConfiguredPeer>& peers) {
    for (const ConfiguredPeer& peer : peers) {
        if (peer.machine) tell(Intent{{}, 0, "configuration", *peer.machine});
    }
    ConfiguredPeers::Change change = configured_.replace(peers, core_.state());
    give_machines_their_keys(peers);
    parts_.log(LogWeight::notice, "the configuration's peers: " + std::to_string(change.admitted.size()) + " keys admitted, " +
                                      std::to_string(change.changed.size()) + " changed, " + std::to_string(change.revoked.size()) + " revoked");
    for (const auto& [id, node] : core_.state().nodes.rows()) {
        if (node.kind != NodeKind::enrolled) continue;
        parts_.log(LogWeight::info, "machine \"" + node.name + "\" is node " + to_string(id) + "; its agent's configuration must say so");
    }
    return change;
}

void Loop::use_peers(const std::vector<ConfiguredPeer>& peers) {
    const ConfiguredPeers::Change change = admit_peers(peers);
    std::vector<std::string> arguments;
    for (const std::string& name : change.admitted) arguments.push_back("admitted=" + name);
    for (const std::string& name : change.changed) arguments.push_back("changed=" + name);
    for (const std::string& name : change.revoked) arguments.push_back("revoked=" + name);
    acts_.note("peers", std::move(arguments), "the configuration was read again", read_clock().wall_ms);
    show_alarm("configuration", {});
}

void Loop::refuse_configuration(const std::string& why) {
    const std::string alarm = "the configuration was not read again, everything is as it was: " + why;
    parts_.log(LogWeight::alarm, alarm);
    show_alarm("configuration", alarm);
}

/// An empty text takes it away.
void Loop::show_alarm(const std::string& subject, const std::string& text) {
    std::string& shown = alarms_[subject];
    if (shown == text) return;
    shown = text;
    extras_.alarms = options_.alarms;
    for (const auto& [about, alarm] : alarms_) {
        if (!alarm.empty()) extras_.alarms.push_back(alarm);
    }
    note_change();
}

// ---- peers

void Loop::take_peers() {
    const TimePoint limit = read_clock().at + kPeerTimePerTurn;
    for (int taken = 0; taken < kPeerEventsPerTurn; ++taken) {
        std::optional<PeerEvent> event = parts_.peers.take();
        if (!event) return;
        take_peer_event(*event);
        if (taken % kPeerEventsPerLook == 0 && read_clock().at > limit) return;
    }
}

void Loop::take_peer_event(PeerEvent& event) {
    if (auto* said = std::get_if<NodeMessage>(&event)) {
        const bool breath = std::holds_alternative<Heartbeat>(said->message);
        if (breath) breathing_ = true;
        else note_change();
        if (const auto* hello = std::get_if<Hello>(&said->message)) {
            parts_.log(LogWeight::info, "node " + to_string(said->from) + " says hello (" + hello->software + ")");
        }
        UNDERSTUDY_FAILPOINT(step_of(core_.state(), said->message));
        tell(NodeSaid{said->from, std::move(said->message)});
    } else if (auto* lost = std::get_if<NodeLost>(&event)) {
        note_change();
        parts_.log(LogWeight::info, "the connection of node " + to_string(lost->node) + " broke");
        tell(NodeDisconnected{lost->node});
    } else if (const auto* offer = std::get_if<KeyOffered>(&event)) {
        enrolment_.offered(*offer, read_clock().at);
    } else if (const auto* taken = std::get_if<KeyTaken>(&event)) {
        enrolment_.taken(*taken);
    } else if (auto* client = std::get_if<ClientMessage>(&event)) {
        take_client(*client);
    } else if (auto* gone = std::get_if<ClientLost>(&event)) {
        watchers_.erase(gone->client);
        note_change();
        tell(ClientGone{gone->client});
    } else if (auto* oddity = std::get_if<PeerOddity>(&event)) {
        parts_.log(LogWeight::warning, "refused: " + oddity->text);
    }
}

void Loop::take_client(const ClientMessage& said) {
    if (const auto* request = std::get_if<AdminRequest>(&said.message)) {
        if (!only_looks(*request)) {
            parts_.log(LogWeight::notice, "\"" + said.name + "\" asks for " + request->verb);
        }
        take_admin(said, *request);
        return;
    }
    note_change();
    UNDERSTUDY_FAILPOINT_IF(sees_new_picture(said.message), "picture.seen");
    tell(ClientSaid{said.from, said.message});
}

void Loop::take_admin(const ClientMessage& said, AdminRequest request) {
    const Result<std::string> person = take_person(request);
    if (!person) return refuse(said.from, request.request, person.error());
    const Result<AdminOrder> order = read_order(said.from, request, core_.state());
    if (!order) return refuse(said.from, request.request, order.error());
    if (const auto* intent = std::get_if<Intent>(&*order)) return record_act(said, request, *person, *intent);
    answer_question(said.from, request, *order);
}

/// Nothing is done before it is written down who did it.
void Loop::record_act(const ClientMessage& said, const AdminRequest& request, const std::string& person, const Intent& intent) {
    switch (acts_.take(said, request, person, intent, read_clock().wall_ms)) {
        case AuditedActs::Taken::recording: return;
        case AuditedActs::Taken::known: return carry_out(intent);
        case AuditedActs::Taken::too_many:
            return refuse(said.from, request.request, {ErrorCode::limit, "too many acts are on their way at the moment; try again"});
    }
}

void Loop::take_recorded(const AuditWritten& written) {
    const bool failed = !written.outcome;
    show_alarm("audit", failed ? "the audit log can't be written, so most acts are refused: " + written.outcome.error().message : "");
    const auto ready = acts_.recorded(written.id);
    if (!ready) return;
    if (failed && ready->unrecorded == Unrecorded::refused) {
        return answer(ready->intent.client, {ready->intent.request, static_cast<std::uint32_t>(ErrorCode::unavailable),
                                             "can't be recorded, so nothing was done: " + written.outcome.error().message, {}});
    }
    if (failed) parts_.log(LogWeight::alarm, ready->verb + " of \"" + ready->who + "\" is carried out without a record of it: " + ready->intent.reason);
    carry_out(ready->intent);
}

void Loop::carry_out(const Intent& intent) {
    note_change();
    if (std::holds_alternative<DefineHost>(intent.wish)) ask_host(intent);
    else tell(intent);
}

void Loop::answer(ClientId client, const AdminReply& reply) {
    acts_.answered(client, reply, read_clock().wall_ms);
    parts_.peers.send(client, reply);
}

void Loop::refuse(ClientId client, std::uint64_t request, const Error& error) {
    answer(client, {request, static_cast<std::uint32_t>(error.code), error.message, {}});
}

void Loop::answer_question(ClientId client, const AdminRequest& request, const AdminOrder& order) {
    if (const auto* incident = std::get_if<AskIncident>(&order)) {
        std::string json = incident_json(core_.state(), incident->id);
        if (json.empty()) return refuse(client, request.request, {ErrorCode::not_found, "there is no incident " + to_string(incident->id)});
        parts_.peers.send(client, AdminReply{request.request, 0, "done", std::move(json)});
    } else if (const auto* loss = std::get_if<AskLoss>(&order)) {
        parts_.peers.send(client, AdminReply{request.request, 0, "done", rehearsals_.loss(core_, loss->host, version_)});
    } else if (const auto* rehearsal = std::get_if<AskRehearsal>(&order)) {
        answer_rehearsal(client, request, rehearsal->wish);
    } else if (const auto* audit = std::get_if<AskAudit>(&order)) {
        parts_.audit.read(client, request.request, audit->count);
    } else {
        answer_view(client, request.request);
        if (!std::holds_alternative<AskWatch>(order)) return;
        if (watchers_.size() < kMostWatchers || watchers_.contains(client)) watchers_[client] = {read_clock().at + kWatchFor};
    }
}

void Loop::answer_rehearsal(ClientId client, const AdminRequest& request, const Wish& wish) {
    AdminReply reply{request.request, 0, {}, {}};
    std::string title = request.verb;
    for (const std::string& argument : request.arguments) {
        if (!argument.starts_with("dry-run=") && !argument.starts_with("reason=")) title += " " + argument;
    }
    reply.json = rehearsals_.wish(core_, wish, title, reply.code, reply.text);
    parts_.peers.send(client, reply);
}

/// A host that nobody answers at is not defined. What is wrong without asking the core says first.
void Loop::ask_host(const Intent& intent) {
    const HostRecord& host = std::get<DefineHost>(intent.wish).host;
    const bool asked = std::any_of(probing_.begin(), probing_.end(), [&](const auto& entry) {
        return entry.second.client == intent.client && entry.second.request == intent.request;
    });
    if (asked) return;
    if (core_.state().host_names.contains(host.name)) return tell(intent);
    if (probing_.size() >= kMostProbes) {
        return refuse(intent.client, intent.request, {ErrorCode::limit, "too many hosts are being asked at the moment; try again"});
    }
    const std::uint64_t token = next_probe_++;
    probing_.emplace(token, intent);
    parts_.hypervisors.probe(host, token);
}

void Loop::take_probe(const HostProbed& probed) {
    const auto found = probing_.find(probed.token);
    if (found == probing_.end()) return;
    const Intent intent = std::move(found->second);
    probing_.erase(found);
    if (probed.answer) return tell(intent);
    const HostRecord& host = std::get<DefineHost>(intent.wish).host;
    refuse(intent.client, intent.request, {probed.answer.error().code,
                                           "host " + host.name + " is not defined: nobody answers at " + host.uri + ": " + probed.answer.error().message});
}

// ---- views

void Loop::note_change() {
    changed_ = true;
    ++version_;
}

const std::vector<std::string>& Loop::fresh_view(TimePoint now) {
    const bool old = view_.empty() || now - view_made_ >= kBreathInterval;
    if (!old && !changed_ && !breathing_) return view_;
    // Asked again within the interval, the same answer serves: views must not cost more than deciding.
    if (!view_.empty() && now < next_push_ && !changed_) return view_;
    extras_.now_wall_ms = read_clock().wall_ms;
    extras_.peers = parts_.peers.figures();
    view_ = view_json(core_.state(), extras_, ++view_number_);
    const Duration cost = read_clock().at - now;
    view_made_ = now;
    next_push_ = now + std::max(kPushInterval, cost * kPushShare);
    changed_ = false;
    breathing_ = false;
    return view_;
}

void Loop::answer_view(ClientId client, std::uint64_t request) {
    const std::vector<std::string>& view = fresh_view(read_clock().at);
    // What does not fit the answer comes before it: the answer is the sign that all is there.
    for (std::size_t part = 1; part < view.size(); ++part) parts_.peers.send(client, AdminUpdate{view[part]});
    parts_.peers.send(client, AdminReply{request, 0, "done", view.front()});
}

void Loop::push_views(TimePoint now) {
    std::erase_if(watchers_, [now](const auto& watcher) { return watcher.second.until < now; });
    if (watchers_.empty() || now < next_push_) return;
    if (!changed_ && !(breathing_ && now - view_made_ >= kBreathInterval)) return;
    for (const std::string& part : fresh_view(now)) {
        const AdminUpdate update{part};
        for (const auto& [client, watcher] : watchers_) parts_.peers.send(client, update);
    }
}

}  // namespace understudy::manager
