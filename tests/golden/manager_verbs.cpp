// The words of scripts for the manager core; README.md lists them for people.
#include <algorithm>
#include <utility>

#include "manager/core/demand.hpp"
#include "manager/core/rehearsal.hpp"
#include "manager/core/state.hpp"
#include "protocol/pack.hpp"
#include "tests/golden/manager_stage.hpp"

namespace understudy::golden {

using namespace manager;

// ---------------------------------------------------------------- who is meant

/// "n5", "primary of xterm", "backup of xterm", "desktop of desk1", "standby of desk1".
NodeId ManagerStage::node(const Statement& statement, std::size_t index) const {
    const std::string& word = statement.word(index, "a node");
    if (word.size() > 1 && word[0] == 'n' && word.find_first_not_of("0123456789", 1) == std::string::npos) {
        return NodeId(parse_number(word.substr(1)));
    }
    if (!core_) statement.fail("the manager does not run; name the node by its number");
    if (statement.word(index + 1, "of") != "of") statement.fail("'" + word + " of …' is expected");
    const State& state = core_->state();
    NodeId found;
    if (word == "primary") found = state.sessions.at(session(statement, index + 2)).primary;
    else if (word == "desktop") found = state.terminals.at(terminal(statement, index + 2)).presentation;
    else if (word == "backup" || word == "standby") {
        const auto& backups = word == "backup" ? state.sessions.at(session(statement, index + 2)).backups
                                               : state.terminals.at(terminal(statement, index + 2)).backups;
        if (!backups.empty()) found = backups.front();
    } else {
        statement.fail("'" + word + "' names no node");
    }
    if (!found) statement.fail("there is none at this moment");
    return found;
}

SessionId ManagerStage::session(const Statement& statement, std::size_t index) const {
    const std::string& name = statement.word(index, "an application");
    for (const auto& [id, record] : core_->state().sessions.rows()) {
        if (names_.of(id) == name) return id;
    }
    statement.fail("there is no session '" + name + "'");
}

TerminalId ManagerStage::terminal(const Statement& statement, std::size_t index) const {
    const std::string& name = statement.word(index, "a terminal");
    for (const auto& [id, record] : core_->state().terminals.rows()) {
        if (record.name == name) return id;
    }
    statement.fail("there is no terminal '" + name + "'");
}

HostId ManagerStage::host(const Statement& statement, std::size_t index) const {
    const std::string& name = statement.word(index, "a host");
    for (const auto& [id, world] : hosts_) {
        if (names_.of(id) == name) return id;
    }
    statement.fail("there is no host '" + name + "'");
}

FakeNode& ManagerStage::fake(const Statement& statement, NodeId id) {
    const auto found = nodes_.find(id);
    if (found == nodes_.end()) statement.fail(names_.of(id) + " does not run");
    return *found->second;
}

/// One node, "all", or "host NAME".
std::vector<NodeId> ManagerStage::nodes_of(const Statement& statement, std::size_t index) const {
    std::vector<NodeId> found;
    const std::string& word = statement.word(index, "a node, 'all' or 'host NAME'");
    if (word != "all" && word != "host") return {node(statement, index)};
    for (const auto& [id, fake_node] : nodes_) {
        if (word == "all" || places_.at(id) == host(statement, index + 1)) found.push_back(id);
    }
    return found;
}

// ---------------------------------------------------------------- definitions

void ManagerStage::define_settings(const Statement& statement) {
    const std::map<std::string, Duration Settings::*> durations = {
        {"heartbeat", &Settings::heartbeat}, {"silence", &Settings::silence}, {"lease", &Settings::lease},
        {"suspect_grace", &Settings::suspect_grace}, {"backup_grace", &Settings::backup_grace},
        {"own_machine_grace", &Settings::own_machine_grace}, {"operation_retry", &Settings::operation_retry}, {"operation_patience", &Settings::operation_patience},
        {"boot_limit", &Settings::boot_limit}, {"pool_pause", &Settings::pool_pause}, {"refill_rest", &Settings::refill_rest},
        {"inventory_interval", &Settings::inventory_interval}, {"gate_window", &Settings::gate_window},
        {"demand_window", &Settings::demand_window}, {"gate_hold", &Settings::gate_hold}, {"gate_pace", &Settings::gate_pace}, {"crash_window", &Settings::crash_window}};
    const std::map<std::string, std::uint32_t Settings::*> numbers = {
        {"gate_permille", &Settings::gate_permille}, {"gate_minimum", &Settings::gate_minimum},
        {"create_attempts", &Settings::create_attempts}, {"crash_limit", &Settings::crash_limit},
        {"parallel_creations", &Settings::parallel_creations}};
    for (const auto& [key, value] : statement.options) {
        if (const auto found = durations.find(key); found != durations.end()) settings_.*found->second = parse_duration(value);
        else if (const auto number = numbers.find(key); number != numbers.end()) settings_.*number->second = static_cast<std::uint32_t>(parse_number(value));
        else statement.fail("there is no setting '" + key + "'");
    }
}

void ManagerStage::define_host(const Statement& statement) {
    HostRecord host;
    host.name = statement.word(1, "a name");
    host.uri = "golden:///" + host.name;
    host.vcpus = static_cast<std::uint32_t>(statement.number("vcpus", 16));
    host.memory_mib = static_cast<std::uint32_t>(statement.number("memory", 16384));
    host.domain = statement.option("domain", "");
    host.can_fence = statement.option("fence", "no") == "yes";
    host.disk_mib = statement.number("disk", 0);
    if (const std::string labels = statement.option("labels", ""); !labels.empty()) host.labels = split(labels, ',');
    if (const std::string uri = statement.option("uri", ""); !uri.empty()) host.uri = uri;
    intend(DefineHost{host}, statement);
    for (const auto& [id, record] : core_->state().hosts.rows()) hosts_[id];
}

void ManagerStage::define_pool(const Statement& statement) {
    PoolRecord pool;
    pool.flavour = statement.word(1, "a flavour");
    pool.image = statement.option("image", "base");
    pool.vcpus = static_cast<std::uint32_t>(statement.number("vcpus", 1));
    pool.memory_mib = static_cast<std::uint32_t>(statement.number("memory", 512));
    pool.slots = static_cast<std::uint32_t>(statement.number("slots", 4));
    pool.min_idle = static_cast<std::uint32_t>(statement.number("min_idle", 0));
    pool.max_idle = static_cast<std::uint32_t>(statement.number("max_idle", 4));
    pool.max_total = static_cast<std::uint32_t>(statement.number("max_total", 64));
    pool.disk_mib = statement.number("disk", 0);
    pool.environment = statement.option("environment", "");
    pool.min_paused = static_cast<std::uint32_t>(statement.number("min_paused", 0));
    pool.max_paused = static_cast<std::uint32_t>(statement.number("max_paused", pool.min_paused));
    pool.follow_demand = statement.option("demand", "no") == "yes";
    pool.policy = statement.option("policy", "spread") == "pack" ? Policy::pack : Policy::spread;
    if (const std::string labels = statement.option("labels", ""); !labels.empty()) pool.labels = split(labels, ',');
    intend(DefinePool{pool}, statement);
}

void ManagerStage::define_profile(const Statement& statement) {
    ProfileRecord profile;
    profile.name = statement.word(1, "a name");
    profile.flavour = statement.option("pool", "small");
    for (const std::string& word : split(statement.option("apps", "xterm"), ',')) {
        const std::vector<std::string> parts = split(word, '/');
        ProfileApplication wanted;
        wanted.application.name = wanted.application.title = parts.at(0);
        wanted.application.command = {"/usr/bin/" + parts[0]};
        for (std::size_t i = 1; i < parts.size(); ++i) {
            if (parts[i] == "restart") wanted.protection = Protection::restart;
            else if (parts[i].starts_with("in:")) wanted.application.environment = parts[i].substr(3);
            else statement.fail("an application is NAME, NAME/restart or NAME/in:ENVIRONMENT");
        }
        profile.applications.push_back(std::move(wanted));
    }
    profile.presentation_backups = static_cast<std::uint32_t>(statement.number("desktop_backups", 1));
    profile.execution_backups = static_cast<std::uint32_t>(statement.number("backups", 1));
    const std::string separation = statement.option("separation", "host");
    profile.separation = separation == "domain" ? Separation::domain : separation == "instance" ? Separation::instance : Separation::host;
    profile.keep_detached_ms = static_cast<std::uint64_t>(to_ms(statement.duration("keep", std::chrono::hours(12))));
    if (statement.option("second", "take-over") == "refuse") profile.second_attach = SecondAttach::refuse;
    intend(DefineProfile{profile}, statement);
}

/// The digest is made from the version, so that scripts stay readable.
void ManagerStage::define_environment(const Statement& statement) {
    EnvironmentRecord environment;
    environment.name = statement.word(1, "a name");
    environment.digest = statement.option("digest", "");
    if (environment.digest.empty()) {
        const std::string version = statement.option("version", "1");
        environment.digest = "sha256:" + std::string(64 - version.size(), '0') + version;
        std::rotate(environment.digest.begin() + 7, environment.digest.end() - static_cast<std::ptrdiff_t>(version.size()), environment.digest.end());
    }
    intend(DefineEnvironment{environment}, statement);
}

/// "images base office": these guest images there are, and no others.
void ManagerStage::define_images(const Statement& statement) {
    deliver(ImagesKnown{{statement.words.begin() + 1, statement.words.end()}});
}

void ManagerStage::define_terminal(const Statement& statement) {
    intend(DefineTerminal{statement.word(1, "a name"), statement.word(2, "a profile")}, statement);
}

/// By an administrator when "client=…" is given, else from the configuration.
void ManagerStage::intend(Wish wish, const Statement& statement) {
    Intent intent;
    intent.client = ClientId(statement.number("client", 0));
    intent.request = statement.number("request", ++requests_);
    intent.reason = statement.option("reason", "");
    intent.wish = std::move(wish);
    deliver(intent);
}

// ---------------------------------------------------------------- the manager and its store

void ManagerStage::do_start(const Statement&) {
    begin_manager();
    const bool was = std::exchange(quiet_, true);
    for (const Statement& statement : defined_) (this->*definitions().at(statement.words[0]))(statement);
    quiet_ = was;
}

void ManagerStage::do_manager(const Statement& statement) {
    const std::string& what = statement.word(1, "dies, returns, restarts or stalls");
    if (what == "dies" || what == "restarts") end_manager();
    if (what == "returns" || what == "restarts") begin_manager();
    else if (what == "stalls") stalled_until_ = now_ + parse_duration(statement.word(2, "for how long"));
    else if (what != "dies") statement.fail("the manager dies, returns, restarts or stalls");
}

void ManagerStage::do_store(const Statement& statement) {
    const std::string& what = statement.word(1, "fails, hangs or works");
    if (what == "works") {
        store_holds_ = false;
        release_held();
        deliver(StoreState{false, ""});
        return;
    }
    if (what == "kept") {
        kept_ = durable_;
        return;
    }
    if (what == "lost" || what == "restored") {
        lose_store(what == "restored" ? kept_ : std::map<std::string, Bytes>{}, "the store was " + what);
        return;
    }
    if (!store_holds_) durable_judgement_ = judgement_;
    store_holds_ = true;
    if (what == "fails") deliver(StoreState{true, statement.word(2, "the reason")});
    else if (what != "hangs") statement.fail("the store fails, hangs or works, or is kept, lost or restored");
}

/// As understudyd does it: the manager starts with what is left, and with the order to find out what runs.
void ManagerStage::lose_store(std::map<std::string, Bytes> left, const std::string& cause) {
    if (core_) end_manager();
    judgement_.epochs.clear();  // the records may fall back; who owns which epoch is not forgotten
    durable_ = std::move(left);
    constexpr std::uint64_t kNeverGivenOut = 1000;
    Bytes record;
    pack::append(record, ManagerRecord{kNeverGivenOut, kNeverGivenOut, true, cause});
    durable_["manager"] = std::move(record);
    std::map<std::string, HostId> before;
    for (const auto& [id, world] : hosts_) before[names_.of(id)] = id;
    begin_manager();
    for (const Statement& definition : defined_) (this->*definitions().at(definition.words[0]))(definition);
    // The machines are where they were; only the manager's number of the host is another.
    for (const auto& [id, host] : core_->state().hosts.rows()) {
        const auto known = before.find(host.name);
        if (known == before.end() || known->second == id) continue;
        hosts_[id] = std::move(hosts_[known->second]);
        hosts_.erase(known->second);
        for (auto& [node, place] : places_) {
            if (place == known->second) place = id;
        }
    }
}

// ---------------------------------------------------------------- terminals

void ManagerStage::do_attach(const Statement& statement) {
    TerminalAttach attach;
    attach.terminal = statement.word(1, "a terminal");
    deliver(ClientSaid{ClientId(statement.number("client", 1)), attach});
}

void ManagerStage::do_detach(const Statement& statement) {
    deliver(ClientSaid{ClientId(statement.number("client", 1)), TerminalDetach{statement.word(1, "a terminal")}});
}

void ManagerStage::do_client(const Statement& statement) { deliver(ClientGone{ClientId(parse_number(statement.word(1, "its number")))}); }

// ---------------------------------------------------------------- nodes

void ManagerStage::do_cut(const Statement& statement) {
    for (const NodeId id : nodes_of(statement, 1)) {
        if (statement.words[0] == "cut") {
            cut_.insert(id);
        } else if (cut_.erase(id) != 0) {
            nodes_[id]->link(true);
        }
    }
}

void ManagerStage::do_part(const Statement& statement) {
    for (const NodeId id : nodes_of(statement, 1)) {
        if (statement.words[0] == "part") parted_.insert(id);
        else if (parted_.erase(id) != 0) nodes_[id]->link(true);
    }
}

void ManagerStage::do_disconnect(const Statement& statement) { deliver(NodeDisconnected{node(statement, 1)}); }

void ManagerStage::do_pause(const Statement& statement) {
    for (const NodeId id : nodes_of(statement, 1)) {
        if (statement.words[0] == "pause") fake(statement, id).pause();
        else fake(statement, id).resume();
    }
}

void ManagerStage::do_kill(const Statement& statement) {
    end_instance(node(statement, 1), statement.words.back());
}

/// "host NAME dies": everything on it, without a word; its hypervisor does not answer any more.
void ManagerStage::do_host(const Statement& statement) {
    const HostId id = host(statement, 1);
    const bool dies = statement.word(2, "dies or returns") == "dies";
    hosts_[id].unreachable = dies ? "no route to host" : "";
    if (!dies) return;
    for (const auto& [node_id, place] : places_) {
        if (place == id) end_instance(node_id, "");
    }
}

void ManagerStage::do_crash(const Statement& statement) {
    if (statement.word(1, "an application or 'desktop of …'") == "desktop") {
        fake(statement, node(statement, 1)).end_desktop(terminal(statement, 3), statement.words.back());
        return;
    }
    const SessionId id = session(statement, 1);
    fake(statement, core_->state().sessions.at(id).primary).end_session(id, Ending::crashed, statement.words.back());
}

void ManagerStage::do_close(const Statement& statement) {
    const SessionId id = session(statement, 1);
    fake(statement, core_->state().sessions.at(id).primary).end_session(id, Ending::closed, "its last window was closed");
}

void ManagerStage::do_checkpoint(const Statement& statement) {
    const SessionId id = session(statement, 1);
    fake(statement, core_->state().sessions.at(id).primary).checkpoint(id);
}

void ManagerStage::do_starts(const Statement& statement) {
    const bool work = statement.word(1, "fail or work") == "work";
    for (const NodeId id : nodes_of(statement, 2)) fake(statement, id).fail_starts(work ? "" : statement.words.back());
}

void ManagerStage::do_layout(const Statement& statement) {
    const TerminalId id = terminal(statement, 1);
    std::vector<WindowPlace> places;
    for (std::size_t i = 2; i + 1 < statement.words.size(); i += 2) {
        const auto at = split(statement.words[i + 1], ',');
        WindowPlace place;
        place.session = session(statement, i);
        place.x = static_cast<std::int32_t>(parse_number(at.at(0)));
        place.y = static_cast<std::int32_t>(parse_number(at.at(1)));
        places.push_back(place);
    }
    fake(statement, core_->state().terminals.at(id).presentation).report_layout(id, std::move(places));
}

/// "spoil TERMINAL APPLICATION": the door takes the ticket of this window no more.
void ManagerStage::do_spoil(const Statement& statement) {
    const TerminalId id = terminal(statement, 1);
    fake(statement, core_->state().terminals.at(id).presentation).spoil_ticket(id, session(statement, 2));
}

void ManagerStage::do_enrol(const Statement& statement) {
    const std::string& name = statement.word(1, "a name");
    const auto slots = static_cast<std::uint32_t>(statement.number("slots", 4));
    intend(EnrolNode{name, statement.option("host", ""), slots, {name, 5900}}, statement);
    for (const auto& [id, record] : core_->state().nodes.rows()) {
        if (record.name != name) continue;
        places_[id] = record.host;
        boot(id, slots);
    }
}

// ---------------------------------------------------------------- hypervisors

void ManagerStage::do_operations(const Statement& statement) {
    const std::string& what = statement.word(1, "succeed, fail, lose, hang or take");
    const std::uint64_t times = statement.number("times", 1'000'000);
    fail_times_ = lose_times_ = hang_times_ = 0;
    if (what == "fail") {
        fail_times_ = times;
        fail_text_ = statement.word(2, "the hypervisor's words");
    } else if (what == "lose") {
        lose_times_ = times;
    } else if (what == "hang") {
        hang_times_ = times;
    } else if (what == "take") {
        operation_delay_ = parse_duration(statement.word(2, "how long"));
    } else if (what != "succeed") {
        statement.fail("operations succeed, fail, lose, hang or take");
    }
}

void ManagerStage::do_fences(const Statement& statement) {
    const std::string& what = statement.word(1, "fail or lie");
    if (what == "lie") {
        fence_lie_times_ = statement.number("times", 1);
        return;
    }
    if (what != "fail") statement.fail("fences fail \"why\" times=N, or fences lie times=N");
    fence_fail_text_ = statement.word(2, "the reason");
    fence_fail_times_ = statement.number("times", 1);
}

void ManagerStage::do_hypervisor(const Statement& statement) {
    Host& there = hosts_[host(statement, 1)];
    const std::string& what = statement.word(2, "unreachable, hangs, refuses or answers");
    there.hangs = what == "hangs";
    there.unreachable = what == "unreachable" ? statement.word(3, "why") : "";
    there.failing = what == "refuses" ? statement.word(3, "why") : "";
    there.resumes_fail = what == "cannot" && statement.word(3, "what") == "resume" ? statement.word(4, "why") : "";
    there.deploys_fail = what == "cannot" && statement.word(3, "what") == "deploy" ? statement.word(4, "why") : "";
    there.deploys_fail_of = statement.option("environment", "");
    there.standing_fails = what == "cannot" && statement.word(3, "what") == "pause" ? statement.word(4, "why") : "";
}

void ManagerStage::do_scrubs(const Statement& statement) {
    receipt_ = statement.word(1, "'verify' or 'prove nothing'") == "verify" ? "base image verified" : "";
}

void ManagerStage::do_boots(const Statement& statement) {
    const std::string& how = statement.word(1, "fail, end or work");
    boot_ = how != "fail";
    boot_ends_ = how == "end" ? statement.word(2, "how it ends") : "";
}

void ManagerStage::do_stranger(const Statement& statement) {
    const NodeId id = node(statement, 1);
    hosts_[host(statement, 3)].instances[id] = {};
    places_[id] = host(statement, 3);
}

/// It is gone, and nobody said so.
void ManagerStage::do_vanish(const Statement& statement) {
    const NodeId id = node(statement, 1);
    end_instance(id, "");
    hosts_[places_.at(id)].instances.erase(id);
}

// ---------------------------------------------------------------- administrators and nonsense

void ManagerStage::do_admin(const Statement& given) {
    Statement statement = given;
    statement.options.try_emplace("client", "99");
    const std::string& what = statement.word(1, "a wish");
    const auto is = [&](const char* verb) { return what == verb; };
    if (is("drain") || is("undrain")) intend(SetDrain{node(statement, 2), is("drain")}, statement);
    else if (is("maintenance") || is("active")) intend(SetMaintenance{statement.word(2, "a host"), is("maintenance")}, statement);
    else if (is("remove") && statement.word(2, "what") == "host") intend(RemoveHost{statement.word(3, "a host")}, statement);
    else if (is("remove") && statement.word(2, "what") == "pool") intend(RemovePool{statement.word(3, "a flavour")}, statement);
    else if (is("kill")) intend(KillInstance{node(statement, 2)}, statement);
    else if (is("move") && statement.word(2, "what") == "desktop") intend(FailOverPresentation{statement.word(3, "a terminal")}, statement);
    else if (is("move") && statement.word(2, "what") == "session") intend(FailOverSession{SessionId(parse_number(statement.word(3, "a number")))}, statement);
    else if (is("move")) intend(FailOverSession{session(statement, 2)}, statement);
    else if (is("release")) intend(ReleaseTerminal{statement.word(2, "a terminal")}, statement);
    else if (is("remove")) intend(RemoveTerminal{statement.word(2, "a terminal")}, statement);
    else if (is("fence")) intend(FenceByHand{statement.word(2, "a host")}, statement);
    else if (is("override")) intend(OverrideGate{}, statement);
    else if (const auto define = definitions().find(what); define != definitions().end()) {
        statement.words.erase(statement.words.begin());
        (this->*define->second)(statement);
    } else {
        statement.fail("there is no such wish");
    }
}

void ManagerStage::do_inject(const Statement& statement) {
    const std::string& what = statement.word(1, "what");
    const auto is = [&](const char* verb) { return what == verb; };
    const std::uint64_t registration = statement.number("registration", 0);
    if (is("heartbeat")) {
        deliver(NodeSaid{node(statement, 2), Heartbeat{registration, 1, 0, 0}});
    } else if (is("hello")) {
        Hello hello;
        hello.node = NodeId(statement.number("claims", node(statement, 2).value));
        hello.incarnation = statement.number("incarnation", 1);
        hello.number = statement.number("number", 1);
        deliver(NodeSaid{node(statement, 2), hello});
    } else if (is("status")) {
        SessionStatus status;
        status.registration = registration;
        status.session = SessionId(statement.number("session", 0));
        status.epoch = statement.number("epoch", 1);
        status.duty = Duty::primary;
        status.phase = Phase::ended;
        deliver(NodeSaid{node(statement, 2), status});
    } else if (is("operation")) {
        deliver(OperationDone{OperationId(parse_number(statement.word(2, "a number"))), Done{}});
    } else if (is("listing")) {
        deliver(HostListed{HostId(parse_number(statement.word(2, "a number"))), std::vector<ListedInstance>{}});
    } else if (is("ended")) {
        deliver(InstanceEnded{node(statement, 2), "killed", now_});
    } else if (is("disconnect")) {
        deliver(NodeDisconnected{node(statement, 2)});
    } else if (is("seen")) {
        deliver(ClientSaid{ClientId(statement.number("client", 55)), TerminalSeen{TerminalId(statement.number("terminal", 77)), 1, "picture", {}}});
    } else if (is("welcome")) {
        deliver(NodeSaid{node(statement, 2), Welcome{}});
    } else if (is("woken")) {
        deliver(Woken{});
    } else {
        statement.fail("there is no such injection");
    }
}

void ManagerStage::do_detail(const Statement& statement) {
    detail_ = statement.word(1, "everything or usual") == "everything" ? Detail::everything : Detail::usual;
}

void ManagerStage::do_hide(const Statement& statement) { quiet_ = statement.words[0] == "hide"; }

// ---------------------------------------------------------------- showing

void ManagerStage::do_show(const Statement& statement) {
    const std::string& what = statement.word(1, "what");
    if (!core_) statement.fail("the manager does not run");
    if (what == "terminals") show_terminals();
    else if (what == "nodes") show_nodes();
    else if (what == "pools") show_pools();
    else if (what == "incidents") show_incidents();
    else if (what == "oddities") show_oddities();
    else statement.fail("terminals, nodes, pools, incidents or oddities can be shown");
}

void ManagerStage::show_terminals() {
    static constexpr const char* kStates[] = {"defined", "attached", "detached"};
    const State& state = core_->state();
    const auto list = [&](const std::vector<NodeId>& nodes) {
        std::string text;
        for (const NodeId id : nodes) text += " " + names_.of(id);
        return text.empty() ? " nobody" : text;
    };
    for (const auto& [id, terminal] : state.terminals.rows()) {
        const auto live = state.terminal_live.find(id);
        const bool waits = live != state.terminal_live.end() && !live->second.waiting.empty();
        print("  ", terminal.name + " " + kStates[static_cast<int>(terminal.state)] + ": desktop epoch " + std::to_string(terminal.epoch) + " on " +
                        names_.of(terminal.presentation) + ", stand by:" + list(terminal.backups) +
                        (waits ? ", waits: " + live->second.waiting : ""));
        for (const SessionId session_id : terminal.sessions) {
            const SessionRecord& session = state.sessions.at(session_id);
            std::string actors;
            for (const auto& [node_id, node] : nodes_) {
                if (const auto epoch = node->acts(session_id)) actors += " " + names_.of(node_id) + "/" + std::to_string(*epoch);
            }
            print("    ", names_.of(session_id) + ": epoch " + std::to_string(session.epoch) + " on " + names_.of(session.primary) +
                              ", stand by:" + list(session.backups) + "; truly acts:" + (actors.empty() ? " nobody" : actors));
        }
    }
}

void ManagerStage::show_nodes() {
    static constexpr const char* kStates[] = {"creating", "booting", "idle", "serving", "scrubbing", "condemned", "paused", "resuming"};
    static constexpr const char* kHealth[] = {"unknown", "healthy", "suspect", "silent", "down"};
    const State& state = core_->state();
    for (const auto& [id, node] : state.nodes.rows()) {
        const NodeLive& live = state.live.at(id);
        std::string line = names_.of(id) + " on " + names_.of(node.host) + ": " + kStates[static_cast<int>(node.state)] + ", " +
                           kHealth[static_cast<int>(live.health)] + ", ";
        if (node.role != Role::none) line += node.role == Role::execution ? "execution, " : "presentation, ";
        print("  ", line + "\"" + node.reason + "\"" + (node.draining ? ", draining" : "") + (live.held_by_gate ? ", held by the gate" : ""));
    }
    for (const auto& [id, world] : hosts_) {
        std::string line = names_.of(id) + " truly has";
        for (const auto& [instance, known] : world.instances) line += " " + names_.of(instance) + (known.running ? known.still ? "(still)" : "" : "(off)");
        print("  ", world.instances.empty() ? line + " nothing" : line);
    }
}

/// What cannot be reached or stands still, and what the pool aims at, where there is any of it.
static std::string standing_text(const State& state, const PoolRecord& pool, const PoolLive& live) {
    std::string text;
    if (!live.beyond_reach.empty()) text += ", of those beyond reach " + std::to_string(live.beyond_reach.size());
    if (pool.max_paused > 0) text += ", standing still " + std::to_string(live.standing.size()) + " (+" + std::to_string(live.standing_soon.size()) + ")";
    if (!pool.follow_demand) return text;
    const Target target = target_of(state, pool);
    return text + ", aims at " + std::to_string(target.idle) + " idle and " + std::to_string(target.paused) + " standing still: " + explain(state, pool, target);
}

void ManagerStage::show_pools() {
    const State& state = core_->state();
    for (const auto& [flavour, pool] : state.pools.rows()) {
        const PoolLive& live = state.pool_live.at(flavour);
        print("  ", flavour + ": idle " + std::to_string(live.idle.size()) + ", coming " + std::to_string(live.coming.size()) + ", total " +
                        std::to_string(live.total) + standing_text(state, pool, live) + (live.paused_until > now_ ? ", rests" : "") + (live.reason.empty() ? "" : ", \"" + live.reason + "\""));
    }
}

void ManagerStage::show_incidents() {
    for (const auto& [id, incident] : core_->state().incidents.rows()) {
        std::string phases;
        for (const PhaseMark& mark : incident.phases) phases += " " + mark.name + "+" + std::to_string(mark.at_us / 1000);
        print("  ", names_.of(id) + (incident.open ? " open" : " closed") + ": " + incident.title + "; ms:" + phases);
    }
}

void ManagerStage::show_oddities() {
    const Oddities& odd = core_->state().oddities;
    const auto tell = [&](const char* what, std::uint64_t count) {
        if (count != 0) print("  ", std::string(what) + " " + std::to_string(count));
    };
    tell("unknown_node", odd.unknown_node);
    tell("stale_registration", odd.stale_registration);
    tell("unknown_operation", odd.unknown_operation);
    tell("stale_status", odd.stale_status);
    tell("unexpected_message", odd.unexpected_message);
    tell("unknown_client", odd.unknown_client);
    tell("unknown_instance", odd.unknown_instance);
    tell("from_future", odd.from_future);
    tell("fencing_failed", odd.fencing_failed);
    tell("fence_disbelieved", odd.fence_disbelieved);
}

/// What the core would decide; it must not change anything, and is asked twice to show that.
void ManagerStage::do_what_if(const Statement& statement) {
    if (!core_) statement.fail("the manager does not run");
    const Moment moment{now_, wall_ms()};
    const auto ask = [&] {
        if (statement.word(1, "host, drain or fence") == "host") return rehearse_loss(*core_, host(statement, 2), moment);
        if (statement.words[1] == "drain") return rehearse(*core_, SetDrain{node(statement, 2), true}, moment);
        if (statement.words[1] == "fence") return rehearse(*core_, FenceByHand{statement.word(2, "a host")}, moment);
        statement.fail("'host NAME', 'drain NODE' or 'fence HOST' is expected");
    };
    const Image before = core_->durable_image();
    const Rehearsal result = ask();
    if (core_->durable_image() != before || ask().moves.size() != result.moves.size()) broken("a rehearsal changes nothing");
    if (result.code != 0) print("  ", "refused: " + result.text);
    const auto subject = [&](TerminalId terminal, SessionId session) { return session ? names_.of(session) : "desktop of " + core_->state().terminals.at(terminal).name; };
    for (const RehearsedMove& move : result.moves) {
        print("  ", subject(move.terminal, move.session) + ": from " + names_.of(move.from) + " to " + (move.to_new_machine ? "a new machine" : names_.of(move.to)) + " on " +
                        names_.of(move.to_host) + (move.expected == Duration{0} ? "" : ", in " + std::to_string(to_ms(move.expected)) + " ms") +
                        (move.decision.empty() || move.to_new_machine ? "" : "; " + move.decision) + (move.lost.empty() ? "" : "; loses " + move.lost));
    }
    for (const RehearsedLack& lack : result.lacks) print("  ", subject(lack.terminal, lack.session) + ": no place: " + lack.reason);
    for (const RehearsedThinning& thin : result.thinnings) {
        print("  ", subject(thin.terminal, thin.session) + ": " + std::to_string(thin.backups) + " of " + std::to_string(thin.wanted) + " backups" + (thin.reason.empty() ? "" : ": " + thin.reason));
    }
    print("  ", std::to_string(result.instances_lost) + " instances lost, " + std::to_string(result.instances_made) + " made, " + std::to_string(result.backups_renewed) + " backups renewed" +
                    (result.complete ? "" : "; NOT COMPLETE"));
}

// ---------------------------------------------------------------- the tables of words

const std::map<std::string, ManagerStage::Verb>& ManagerStage::definitions() {
    using Stage = ManagerStage;
    static const std::map<std::string, Verb> kDefinitions = {
        {"settings", &Stage::define_settings}, {"host", &Stage::define_host}, {"pool", &Stage::define_pool},
        {"environment", &Stage::define_environment}, {"images", &Stage::define_images},
        {"profile", &Stage::define_profile}, {"terminal", &Stage::define_terminal}};
    return kDefinitions;
}

const std::map<std::string, ManagerStage::Verb>& ManagerStage::verbs() {
    using Stage = ManagerStage;
    static const std::map<std::string, Verb> kVerbs = {
        {"start", &Stage::do_start}, {"end", &Stage::do_end}, {"manager", &Stage::do_manager}, {"store", &Stage::do_store},
        {"attach", &Stage::do_attach}, {"detach", &Stage::do_detach}, {"client", &Stage::do_client},
        {"cut", &Stage::do_cut}, {"heal", &Stage::do_cut}, {"part", &Stage::do_part}, {"join", &Stage::do_part}, {"disconnect", &Stage::do_disconnect},
        {"pause", &Stage::do_pause}, {"resume", &Stage::do_pause}, {"kill", &Stage::do_kill}, {"host", &Stage::do_host},
        {"crash", &Stage::do_crash}, {"close", &Stage::do_close}, {"checkpoint", &Stage::do_checkpoint},
        {"starts", &Stage::do_starts}, {"layout", &Stage::do_layout}, {"spoil", &Stage::do_spoil}, {"enrol", &Stage::do_enrol},
        {"operations", &Stage::do_operations}, {"fences", &Stage::do_fences}, {"hypervisor", &Stage::do_hypervisor}, {"boots", &Stage::do_boots},
        {"stranger", &Stage::do_stranger}, {"scrubs", &Stage::do_scrubs}, {"vanish", &Stage::do_vanish}, {"admin", &Stage::do_admin},
        {"inject", &Stage::do_inject}, {"show", &Stage::do_show}, {"what-if", &Stage::do_what_if}, {"detail", &Stage::do_detail},
        {"hide", &Stage::do_hide}, {"reveal", &Stage::do_hide}};
    return kVerbs;
}

void ManagerStage::perform(const Statement& statement) {
    const auto verb = verbs().find(statement.words[0]);
    if (verb == verbs().end()) statement.fail("there is no such verb");
    (this->*verb->second)(statement);
}

}  // namespace understudy::golden
