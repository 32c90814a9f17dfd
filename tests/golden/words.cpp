// See words.hpp.
#include "tests/golden/words.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "protocol/pack.hpp"

namespace understudy::golden {
namespace {

using namespace manager;

// ---------------------------------------------------------------- single values

using golden::word_for;

const char* word_for(NodeState state) {
    constexpr const char* kWords[] = {"creating", "booting", "idle", "serving", "scrubbing", "condemned", "paused", "resuming"};
    return kWords[static_cast<int>(state)];
}
const char* word_for(Role role) {
    constexpr const char* kWords[] = {"none", "execution", "presentation"};
    return kWords[static_cast<int>(role)];
}
const char* word_for(Proof proof) {
    constexpr const char* kWords[] = {"none", "instance_ended", "destroyed", "lease_expired", "host_fenced", "agent_reported"};
    return kWords[static_cast<int>(proof)];
}
const char* word_for(TerminalState state) {
    constexpr const char* kWords[] = {"defined", "attached", "detached"};
    return kWords[static_cast<int>(state)];
}
const char* word_for(Protection protection) { return protection == Protection::restart ? "restart" : "checkpoint"; }
const char* word_for(Separation separation) {
    constexpr const char* kWords[] = {"instance", "host", "domain"};
    return kWords[static_cast<int>(separation)];
}
const char* word_for(Tier tier) { return tier == Tier::paused ? "paused" : "running"; }
const char* word_for(Policy policy) { return policy == Policy::pack ? "pack" : "spread"; }
const char* word_for(NodeKind kind) { return kind == NodeKind::instance ? "instance" : "enrolled"; }
const char* word_for(Power power) {
    constexpr const char* kWords[] = {"on", "going off", "off"};
    return kWords[static_cast<int>(power)];
}
const char* word_for(SecondAttach policy) { return policy == SecondAttach::refuse ? "refuse" : "take over"; }
const char* word_for(Ending ending) {
    constexpr const char* kWords[] = {"", "closed", "crashed"};
    return kWords[static_cast<int>(ending)];
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

struct Teller {
    const Names& names;

    [[nodiscard]] std::string operator()(const std::string& value) const {
        constexpr std::size_t kShown = 15;  // of a digest
        return quoted(value.starts_with("sha256:") && value.size() > kShown ? value.substr(0, kShown) + "…" : value);
    }
    [[nodiscard]] std::string operator()(bool value) const { return value ? "yes" : "no"; }
    [[nodiscard]] std::string operator()(const CheckpointId& id) const { return word_for(id); }
    [[nodiscard]] std::string operator()(const Endpoint& door) const { return door.host + ":" + std::to_string(door.port); }
    [[nodiscard]] std::string operator()(const Application& value) const { return value.name; }
    [[nodiscard]] std::string operator()(const ProfileApplication& value) const {
        return value.application.name + "/" + word_for(value.protection);
    }
    [[nodiscard]] std::string operator()(const PhaseMark& mark) const {
        return mark.name + " +" + std::to_string(mark.at_us / 1000) + " ms";
    }
    [[nodiscard]] std::string operator()(const WindowPlace& place) const {
        return names.of(place.session) + "@" + std::to_string(place.x) + "," + std::to_string(place.y);
    }
    template <class Tag>
    [[nodiscard]] std::string operator()(Id<Tag> id) const { return names.of(id); }
    template <class T>
    [[nodiscard]] std::string operator()(const std::vector<T>& values) const {
        std::string text = "[";
        for (const T& value : values) text += (text.size() > 1 ? ", " : "") + (*this)(value);
        return text + "]";
    }
    template <class T>
    [[nodiscard]] std::string operator()(const T& value) const {
        if constexpr (std::is_enum_v<T>) return word_for(value);
        else return std::to_string(value);
    }
};

// ---------------------------------------------------------------- records

/// Nothing to judge in them: identity (the line names it), sizes and wall clocks.
const std::set<std::string> kHidden = {"id", "kind", "slots", "vcpus", "memory_mib", "door", "proof_wall_ms",
                                       "detached_wall_ms", "opened_wall_ms", "uri", "application", "width", "height", "disk_mib", "address", "digest", "bytes"};

struct Fields {
    const Teller& tell;
    std::vector<std::pair<std::string, std::string>> found;
    template <class T>
    void operator()(const char* name, const T& value) {
        if (!kHidden.contains(name)) found.emplace_back(name, tell(value));
    }
};

template <class Record>
std::vector<std::pair<std::string, std::string>> fields_of(const Teller& tell, const Record& record) {
    Fields fields{tell, {}};
    Record::each_field(record, fields);
    return std::move(fields.found);
}

template <class Record>
std::string changes(const Teller& tell, const Record* before, const Record& after) {
    const auto old = fields_of(tell, before == nullptr ? Record{} : *before);
    const auto now = fields_of(tell, after);
    std::string line;
    for (std::size_t i = 0; i < now.size(); ++i) {
        const bool always = before == nullptr && now[i].first == "state";
        if (now[i].second == old[i].second && !always) continue;
        line += (line.empty() ? "" : ", ") + now[i].first + " ";
        const bool small = before != nullptr && old[i].second.size() < 16 && now[i].second.size() < 16 && old[i].second != "\"\"";
        line += small ? old[i].second + " → " + now[i].second : now[i].second;
    }
    return line;
}

template <class Record>
std::string describe_record(const Teller& tell, const std::string& what, const Write& write, const Bytes& before) {
    if (write.value.empty()) return what + " erased";
    const Record after = pack::parse<Record>(write.value).value();
    if (before.empty()) return what + " (new): " + changes<Record>(tell, nullptr, after);
    const Record old = pack::parse<Record>(before).value();
    const std::string line = changes(tell, &old, after);
    return line.empty() ? "" : what + ": " + line;
}

std::vector<std::string> describe_incident(const Teller& tell, const std::string& what, const Write& write, const Bytes& before) {
    if (write.value.empty()) return {what + " erased"};
    const IncidentRecord after = pack::parse<IncidentRecord>(write.value).value();
    const IncidentRecord old = before.empty() ? IncidentRecord{} : pack::parse<IncidentRecord>(before).value();
    std::vector<std::string> lines;
    if (before.empty()) lines.push_back(what + " (new): " + quoted(after.title) + ", left behind " + tell.names.of(after.node));
    std::string phases;
    for (std::size_t i = old.phases.size(); i < after.phases.size(); ++i) phases += (phases.empty() ? "" : ", ") + tell(after.phases[i]);
    if (!phases.empty()) lines.push_back(before.empty() ? "  phases " + phases : what + ": " + phases);
    const auto tell_text = [&](const char* name, const std::string& was, const std::string& is) {
        if (was != is) lines.push_back(std::string("  ") + name + ": " + is);
    };
    tell_text("evidence", old.evidence, after.evidence);
    tell_text("proof", old.proof, after.proof);
    tell_text("decision", old.decision, after.decision);
    tell_text("lost", old.lost, after.lost);
    if (old.alternatives != after.alternatives) {
        for (const std::string& line : after.alternatives) lines.push_back("  looked at " + line);
    }
    if (!before.empty() && old.open && !after.open) lines.push_back(what + " is closed");
    return lines;
}

// ---------------------------------------------------------------- messages

std::string window_text(const Names& names, const WindowSource& window) {
    std::string text = names.of(window.session) + "/" + std::to_string(window.session_epoch);
    if (!window.waiting.empty()) return text + " waits \"" + window.waiting + "\"";
    return text + " from " + names.of(window.ticket.claims.door);
}

std::string checkpoints_text(const SessionStatus& status) {
    std::string text;
    for (const CheckpointInfo& info : status.checkpoints) text += (text.empty() ? ", holds " : " ") + word_for(info.id);
    return text;
}

struct MessageTeller {
    const Names& names;

    std::string operator()(const Hello& hello) const {
        std::string text = "Hello number " + std::to_string(hello.number);
        for (const SessionStatus& status : hello.sessions) text += ", " + one(status);
        for (const DesktopStatus& status : hello.desktops) text += ", " + one(status);
        return text;
    }
    std::string operator()(const Heartbeat&) const { return "Heartbeat"; }
    std::string operator()(const SessionStatus& status) const { return one(status); }
    std::string operator()(const DesktopStatus& status) const { return one(status); }
    std::string operator()(const LayoutReport& report) const { return "layout of " + names.of(report.terminal); }
    std::string operator()(const AssignSession& assign) const {
        std::string text = "assign " + names.of(assign.session) + " " + word_for(assign.duty) + " epoch " + std::to_string(assign.epoch);
        if (assign.duty == Duty::primary) {
            text += assign.restore.sequence == 0 ? ", afresh" : ", restore " + word_for(assign.restore);
            text += ", desktop on " + names.of(assign.presentation) + "/" + std::to_string(assign.presentation_epoch);
        }
        if (!assign.peers.empty()) {
            text += ", checkpoints to";
            for (const Peer& peer : assign.peers) text += " " + names.of(peer.node);
        }
        return text;
    }
    std::string operator()(const AssignDesktop& assign) const {
        std::string text = "assign desktop of " + names.of(assign.terminal) + " " + word_for(assign.duty) + " epoch " + std::to_string(assign.epoch);
        for (const WindowSource& window : assign.windows) text += ", " + window_text(names, window);
        if (!assign.layout.empty()) text += ", layout " + Teller{names}(assign.layout);
        return text;
    }
    std::string operator()(const Welcome&) const { return "Welcome"; }
    std::string operator()(const HeartbeatAck&) const { return "HeartbeatAck"; }
    std::string operator()(const ReportAck&) const { return "ReportAck"; }
    std::string operator()(const NotRegistered& refusal) const { return "NotRegistered \"" + refusal.reason + "\""; }
    std::string operator()(const TerminalAttach& attach) const { return "attach " + attach.terminal; }
    std::string operator()(const TerminalDetach& detach) const { return "detach " + detach.terminal; }
    std::string operator()(const TerminalSeen& seen) const { return names.of(seen.terminal) + " sees " + seen.what; }
    std::string operator()(const TerminalRedirect& redirect) const {
        return "redirect " + names.of(redirect.terminal) + " epoch " + std::to_string(redirect.epoch) + " to " +
               names.of(redirect.ticket.claims.door);
    }
    std::string operator()(const TerminalWaiting& waiting) const {
        return "waiting \"" + waiting.reason + "\", ask again in " + std::to_string(waiting.retry_ms) + " ms";
    }
    std::string operator()(const TerminalRefused& refused) const {
        return std::string("refused (") + to_string(static_cast<ErrorCode>(refused.code)) + ") \"" + refused.reason + "\"";
    }
    std::string operator()(const TerminalTaken& taken) const { return "taken \"" + taken.reason + "\""; }
    std::string operator()(const TerminalNotice& notice) const { return "notice \"" + notice.text + "\""; }
    std::string operator()(const AdminReply& reply) const {
        return std::string("reply ") + (reply.code == 0 ? "done" : to_string(static_cast<ErrorCode>(reply.code))) + " \"" + reply.text + "\"";
    }
    template <class Other>
    std::string operator()(const Other& other) const { return name_of(Message{other}); }

    [[nodiscard]] std::string one(const SessionStatus& status) const {
        std::string text = names.of(status.session) + " " + word_for(status.duty) + "/" + std::to_string(status.epoch) + " " + word_for(status.phase);
        if (status.ending != Ending::none) text += std::string(" (") + word_for(status.ending) + ")";
        return text + checkpoints_text(status) + (status.detail.empty() ? "" : ", \"" + status.detail + "\"");
    }
    [[nodiscard]] std::string one(const DesktopStatus& status) const {
        std::string text = "desktop of " + names.of(status.terminal) + " " + word_for(status.duty) + "/" + std::to_string(status.epoch) + " " + word_for(status.phase);
        std::string pictures;
        for (const WindowStatus& window : status.windows) {
            if (window.picture) pictures += (pictures.empty() ? "" : " ") + names.of(window.session) + "/" + std::to_string(window.session_epoch);
        }
        if (!pictures.empty()) text += ", shows " + pictures;
        return text + (status.detail.empty() ? "" : ", \"" + status.detail + "\"");
    }
};

// ---------------------------------------------------------------- actions and events

struct ActionTeller {
    const Names& names;
    Detail detail;

    std::string operator()(const SendToNode& send) const {
        const bool hidden = std::holds_alternative<HeartbeatAck>(send.message) || std::holds_alternative<ReportAck>(send.message) ||
                            std::holds_alternative<Welcome>(send.message) || std::holds_alternative<WitnessRequest>(send.message);
        if (hidden && detail == Detail::usual) return {};
        return names.of(send.to) + " ← " + describe_message(names, send.message);
    }
    std::string operator()(const SendToClient& send) const {
        return "client " + to_string(send.to) + " ← " + describe_message(names, send.message);
    }
    std::string operator()(const CreateInstance& create) const { 
        return names.of(create.host) + " ← create instance " + to_string(create.instance) + (create.tier == Tier::paused ? ", standing still" : "");
    }
    std::string operator()(const ResumeInstance& resume) const { return names.of(resume.host) + " ← resume instance " + to_string(resume.instance); }
    std::string operator()(const DeployEnvironment& deploy) const {
        return names.of(deploy.host) + " ← deploy " + deploy.environment + " on instance " + to_string(deploy.instance);
    }
    std::string operator()(const ScrubInstance& scrub) const { return names.of(scrub.host) + " ← scrub instance " + to_string(scrub.instance); }
    std::string operator()(const DestroyInstance& destroy) const { return names.of(destroy.host) + " ← destroy instance " + to_string(destroy.instance); }
    std::string operator()(const ListInstances& list) const { return detail == Detail::usual ? "" : names.of(list.host) + " ← list instances"; }
    std::string operator()(const FenceHost& fence) const { return names.of(fence.host) + " ← fence"; }
    std::string operator()(const Note& note) const {
        return (note.weight == Note::Weight::alarm ? "ALARM " : "note  ") + note.text + (note.incident ? " (" + names.of(note.incident) + ")" : "");
    }
    std::string operator()(const Echo& echo) const { return detail == Detail::usual ? "" : "echo " + names.of(echo.incident); }
};

struct EventTeller {
    const Names& names;

    std::string operator()(const NodeSaid& said) const { return names.of(said.from) + " says " + describe_message(names, said.message); }
    std::string operator()(const NodeDisconnected& gone) const { return "the connection of " + names.of(gone.node) + " broke"; }
    std::string operator()(const ClientSaid& said) const { return "client " + to_string(said.from) + " says " + describe_message(names, said.message); }
    std::string operator()(const ClientGone& gone) const { return "client " + to_string(gone.client) + " is gone"; }
    std::string operator()(const InstanceEnded& ended) const { return "the process of " + names.of(ended.instance) + " ended: \"" + ended.cause + "\""; }
    std::string operator()(const OperationDone& done) const { return done.outcome ? "an operation succeeded" : "an operation failed: \"" + done.outcome.error().message + "\""; }
    std::string operator()(const HostListed& listed) const {
        if (!listed.instances) return names.of(listed.host) + " could not list: \"" + listed.instances.error().message + "\"";
        std::string text = names.of(listed.host) + " lists";
        for (const ListedInstance& instance : *listed.instances) text += " " + to_string(instance.id) + (instance.running ? "" : "(off)");
        return listed.instances->empty() ? text + " nothing" : text;
    }
    std::string operator()(const StoreState& store) const { return store.failing ? "the store fails: \"" + store.reason + "\"" : "the store works again"; }
    std::string operator()(const ImagesKnown& known) const { return std::to_string(known.images.size()) + " images are known"; }
    std::string operator()(const Echoed& echoed) const { return "durable: " + names.of(echoed.incident); }
    std::string operator()(const Woken&) const { return "woken"; }
    std::string operator()(const Intent&) const { return "an intent"; }
};

}  // namespace

// ---------------------------------------------------------------- names

void Names::learn(const State& state) {
    for (const auto& [id, host] : state.hosts.rows()) hosts_[id] = host.name;
    for (const auto& [id, terminal] : state.terminals.rows()) terminals_[id] = terminal.name;
    for (const auto& [id, session] : state.sessions.rows()) {
        const std::string terminal = of(session.terminal);
        sessions_[id] = (state.terminals.rows().size() > 1 ? terminal + "/" : "") + session.application.name;
    }
}

std::string Names::of(NodeId id) const { return id ? "n" + to_string(id) : "nobody"; }
std::string Names::of(IncidentId id) const { return "incident " + to_string(id); }
std::string Names::of(HostId id) const {
    const auto found = hosts_.find(id);
    return found == hosts_.end() ? "host " + to_string(id) : found->second;
}
std::string Names::of(TerminalId id) const {
    const auto found = terminals_.find(id);
    return found == terminals_.end() ? "terminal " + to_string(id) : found->second;
}
std::string Names::of(SessionId id) const {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? "session " + to_string(id) : found->second;
}

std::string seconds_of(Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f s", static_cast<double>(duration.count()) / 1e6);
    return text;
}

const char* word_for(Duty duty) {
    constexpr const char* kWords[] = {"released", "primary", "backup"};
    return kWords[static_cast<int>(duty)];
}

const char* word_for(Phase phase) {
    constexpr const char* kWords[] = {"preparing", "running", "standby", "frozen", "ended", "failed", "released"};
    return kWords[static_cast<int>(phase)];
}

std::string word_for(CheckpointId id) {
    return id.sequence == 0 ? "none" : std::to_string(id.epoch) + ":" + std::to_string(id.sequence);
}

std::vector<std::string> describe_write(const Names& names, const Write& write, const Bytes& before) {
    const Teller tell{names};
    const auto slash = write.key.find('/');
    const std::string kind = write.key.substr(0, slash);
    if (kind == "manager") return {};
    const std::string name = write.key.substr(slash + 1);
    std::string line;
    if (kind == "node") line = describe_record<NodeRecord>(tell, "n" + name, write, before);
    else if (kind == "terminal") line = describe_record<TerminalRecord>(tell, "terminal " + names.of(TerminalId(std::stoull(name))), write, before);
    else if (kind == "session") line = describe_record<SessionRecord>(tell, "session " + names.of(SessionId(std::stoull(name))), write, before);
    else if (kind == "host") line = describe_record<HostRecord>(tell, "host " + names.of(HostId(std::stoull(name))), write, before);
    else if (kind == "pool") line = describe_record<PoolRecord>(tell, "pool " + name, write, before);
    else if (kind == "environment") line = describe_record<EnvironmentRecord>(tell, "environment " + name, write, before);
    else if (kind == "profile") line = describe_record<ProfileRecord>(tell, "profile " + name, write, before);
    else if (kind == "incident") return describe_incident(tell, "incident " + name, write, before);
    else line = write.key + " of an unknown kind";
    if (line.empty()) return {};
    return {line};
}

std::string describe_action(const Names& names, const Action& action, Detail detail) { return std::visit(ActionTeller{names, detail}, action); }
std::string describe_message(const Names& names, const Message& message) { return std::visit(MessageTeller{names}, message); }
std::string describe_event(const Names& names, const Event& event) { return std::visit(EventTeller{names}, event); }

}  // namespace understudy::golden
