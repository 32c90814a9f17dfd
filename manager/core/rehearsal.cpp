// See rehearsal.hpp.
#include "manager/core/rehearsal.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "manager/core/durations.hpp"
#include "manager/core/state.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kMostEvents = 20000;
constexpr int kMostPauses = 12;          ///< times the clock of a rehearsal goes on
constexpr int kMostQuietPauses = 24;     ///< the same while it waits for nobody to be heard on a host that was switched off
constexpr Duration kLongestPause{500'000};
constexpr ClientId kAsker{UINT64_MAX};   ///< nobody has this number: it is thrown away with the copy
constexpr std::uint64_t kNumbers = std::uint64_t{1} << 48;  ///< above every number an agent has used

/// Everybody around the copy, doing well.
class World {
  public:
    World(Core core, Moment now, HostId gone) : core_(std::move(core)), now_(now), gone_(gone) {}

    void begin(Step step) { take(std::move(step)); }
    void tell(Event event) { events_.push_back(std::move(event)); }

    /// Until nothing is left to do. False: the bound was reached.
    bool settle() {
        for (int pauses = 0, quiet = 0;;) {
            while (!events_.empty() || wake_at_ <= now_.at) {
                if (++handled_ > kMostEvents) return false;
                Event event = Woken{};
                if (!events_.empty()) {
                    event = std::move(events_.front());
                    events_.pop_front();
                }
                take(core_.handle(now_, event));
            }
            const bool hushes = waits_for_quiet();
            if (!(hushes || waits()) || wake_at_ == kNever || wake_at_ - now_.at > kLongestPause) return true;
            if (hushes ? ++quiet > kMostQuietPauses : ++pauses > kMostPauses) return true;
            pass(wake_at_ - now_.at);
        }
    }

    [[nodiscard]] const Core& core() const { return core_; }
    [[nodiscard]] const AdminReply& reply() const { return reply_; }

  private:
    [[nodiscard]] bool waits() const { return !core_.state().wanting.empty(); }
    [[nodiscard]] bool waits_for_quiet() const {
        const auto& hosts = core_.state().host_live;
        return std::any_of(hosts.begin(), hosts.end(), [](const auto& row) { return row.second.said_off != kNever; });
    }

    /// Time goes on, and nobody is late because of it.
    void pass(Duration pause) {
        now_.at += pause;
        now_.wall_ms += to_ms(pause);
        if (now_.at < beats_at_) return;
        beats_at_ = now_.at + core_.state().settings.heartbeat;
        for (const auto& [id, node] : core_.state().nodes.rows()) {
            const NodeLive& live = core_.state().live.at(id);
            if (live.health == Health::healthy && live.registration != 0) events_.push_back(NodeSaid{id, Heartbeat{live.registration, 0, live.load_permille, live.memory_used_mib}});
        }
    }

    void take(Step step) {
        wake_at_ = step.wake_at;
        for (const Action& action : step.now) carry_out(action);
        for (const Action& action : step.after_durable) carry_out(action);
    }

    void carry_out(const Action& action) {
        std::visit([this](const auto& kind) { does(kind); }, action);
    }

    template <class Ignored>
    void does(const Ignored&) {}

    void does(const SendToClient& send) {
        const auto* reply = std::get_if<AdminReply>(&send.message);
        if (send.to == kAsker && reply != nullptr) reply_ = *reply;
    }

    void does(const SendToNode& send) {
        if (!alive(send.to)) return;
        if (const auto* welcome = std::get_if<Welcome>(&send.message)) tell(NodeSaid{send.to, Heartbeat{welcome->registration, 1, 0, 0}});
        else if (const auto* session = std::get_if<AssignSession>(&send.message)) obey(send.to, *session);
        else if (const auto* desktop = std::get_if<AssignDesktop>(&send.message)) obey(send.to, *desktop);
    }

    void does(const CreateInstance& create) {
        if (create.tier == Tier::paused && create.host != gone_) tell(OperationDone{create.operation, Done{{"rehearsed", 1}, {}}});
        else boot(create.operation, create.host, create.instance, create.slots);
    }
    void does(const ResumeInstance& resume) { boot(resume.operation, resume.host, resume.instance, 0); }
    void does(const ScrubInstance& scrub) { boot(scrub.operation, scrub.host, scrub.instance, 0); }

    void does(const DeployEnvironment& deploy) {
        if (deploy.host != gone_) tell(OperationDone{deploy.operation, Done{}});
    }

    void does(const DestroyInstance& destroy) {
        if (destroy.host != gone_) tell(OperationDone{destroy.operation, Done{}});
    }

    void does(const FenceHost& fence) { tell(OperationDone{fence.operation, Done{}}); }

    [[nodiscard]] bool alive(NodeId id) const {
        const NodeRecord* node = core_.state().nodes.find(id);
        return node != nullptr && node->host != gone_ && node->proof == Proof::none && core_.state().live.at(id).health != Health::silent;
    }

    void boot(OperationId operation, HostId host, NodeId id, std::uint32_t slots) {
        if (host == gone_) {
            tell(OperationDone{operation, failure(ErrorCode::unavailable, "the host is gone")});
            return;
        }
        tell(OperationDone{operation, Done{{"rehearsed", 1}, "rehearsed"}});
        Hello hello;
        hello.node = id;
        hello.incarnation = ++number_;
        hello.number = 1;
        hello.slots = slots;
        hello.can_checkpoint = true;
        tell(NodeSaid{id, std::move(hello)});
    }

    SessionStatus status_for(NodeId id, const AssignSession& assign) {
        const NodeLive& live = core_.state().live.at(id);
        SessionStatus status;
        if (const auto known = live.sessions.find(assign.session); known != live.sessions.end()) status = known->second;
        status.registration = assign.registration;
        status.number = ++number_;
        status.session = assign.session;
        status.epoch = assign.epoch;
        status.revision = assign.revision;
        status.duty = assign.duty;
        status.in_force = assign.protection;
        return status;
    }

    void obey(NodeId id, const AssignSession& assign) {
        SessionStatus status = status_for(id, assign);
        if (assign.duty == Duty::released && !assign.peers.empty()) {
            for (const Peer& peer : assign.peers) hand_over(peer.node, assign);
            status.phase = Phase::ended;
            status.detail = "handed over";
        } else if (assign.duty == Duty::released) {
            status.phase = Phase::released;
            status.checkpoints.clear();
        } else {
            status.phase = assign.duty == Duty::primary ? Phase::running : Phase::standby;
            if (assign.duty == Duty::primary) status.restored_from = assign.restore;
        }
        tell(NodeSaid{id, std::move(status)});
    }

    /// A last checkpoint reaches whoever stands by before its primary ends.
    void hand_over(NodeId peer, const AssignSession& assign) {
        if (!alive(peer)) return;
        const auto& sessions = core_.state().live.at(peer).sessions;
        const auto known = sessions.find(assign.session);
        if (known == sessions.end()) return;
        SessionStatus status = known->second;
        status.number = ++number_;
        const std::uint64_t sequence = status.checkpoints.empty() ? 1 : status.checkpoints.back().id.sequence + 1;
        status.checkpoints.push_back({{assign.epoch, sequence}, now_.wall_ms, 0, 0});
        tell(NodeSaid{peer, std::move(status)});
    }

    void obey(NodeId id, const AssignDesktop& assign) {
        DesktopStatus status;
        status.registration = assign.registration;
        status.number = ++number_;
        status.terminal = assign.terminal;
        status.epoch = assign.epoch;
        status.revision = assign.revision;
        status.duty = assign.duty;
        status.phase = assign.duty == Duty::released ? Phase::released : assign.duty == Duty::primary ? Phase::running : Phase::standby;
        for (const WindowSource& window : assign.windows) status.windows.push_back({window.session, window.session_epoch, true, true});
        tell(NodeSaid{id, std::move(status)});
    }

    Core core_;
    Moment now_;
    HostId gone_;
    TimePoint beats_at_{};  ///< nobody is heard again before this
    TimePoint wake_at_ = kNever;
    std::deque<Event> events_;
    std::size_t handled_ = 0;
    std::uint64_t number_ = kNumbers;
    AdminReply reply_;
};

/// Reads the difference between what is and what would be.
class Comparison {
  public:
    Comparison(const State& before, const State& after) : before_(before), after_(after), durations_(before) {}

    void into(Rehearsal& result) {
        for (const auto& [id, terminal] : before_.terminals.rows()) compare(id, terminal, result);
        for (const auto& [id, node] : before_.nodes.rows()) {
            const NodeRecord* later = after_.nodes.find(id);
            if (node.proof == Proof::none && (later == nullptr || later->proof != Proof::none)) ++result.instances_lost;
        }
        for (const auto& [id, node] : after_.nodes.rows()) {
            if (before_.nodes.find(id) == nullptr && node.proof == Proof::none) ++result.instances_made;
        }
        for (const RehearsedMove& move : result.moves) result.expected = std::max(result.expected, move.expected);
        result.measured_from = durations_.measured();
    }

  private:
    void compare(TerminalId id, const TerminalRecord& terminal, Rehearsal& result) {
        const TerminalRecord* later = after_.terminals.find(id);
        if (later == nullptr || later->state == TerminalState::defined) return;  // released: nothing moves
        const ProfileRecord* profile = after_.profiles.find(later->profile);
        const IncidentId incident = after_.terminal_live.at(id).incident;
        if (later->epoch != terminal.epoch && later->presentation) {
            move(result, id, {}, terminal.presentation, later->presentation, incident);
        } else if (!later->presentation && terminal.presentation) {
            result.lacks.push_back({id, {}, after_.terminal_live.at(id).waiting});
        }
        if (profile != nullptr) thin(result, id, {}, terminal.backups, later->backups, later->presentation, profile->presentation_backups);
        for (const SessionId session : terminal.sessions) compare(id, session, profile, result);
    }

    void compare(TerminalId terminal, SessionId id, const ProfileRecord* profile, Rehearsal& result) {
        const SessionRecord* was = before_.sessions.find(id);
        const SessionRecord* later = after_.sessions.find(id);
        if (was == nullptr || later == nullptr) return;
        if (later->primary && later->epoch != was->epoch) {
            move(result, terminal, id, was->primary, later->primary, after_.session_live.at(id).incident);
        } else if (!later->primary && was->primary) {
            result.lacks.push_back({terminal, id, after_.terminal_live.at(terminal).waiting});
        }
        if (profile != nullptr) thin(result, terminal, id, was->backups, later->backups, later->primary, profile->execution_backups);
    }

    void move(Rehearsal& result, TerminalId terminal, SessionId session, NodeId from, NodeId to, IncidentId id) {
        const NodeRecord& node = after_.nodes.at(to);
        RehearsedMove move{terminal, session, from, to, node.host, node.name, before_.nodes.find(to) == nullptr, {}, {}, {}, {}};
        const IncidentRecord* incident = after_.incidents.find(id);
        if (incident != nullptr && before_.incidents.find(id) == nullptr) {
            move.decision = incident->decision;
            move.lost = incident->lost;
            move.alternatives = incident->alternatives;
        }
        const std::string flavour = move.to_new_machine ? node.flavour : std::string();
        // Restores on one machine take turns.
        const std::uint32_t before_it = session ? restores_[to]++ : 0;
        move.expected = durations_.expected(session ? "execution" : "presentation", flavour, before_it);
        result.moves.push_back(std::move(move));
    }

    void thin(Rehearsal& result, TerminalId terminal, SessionId session, const std::vector<NodeId>& were,
              const std::vector<NodeId>& are, NodeId primary, std::uint32_t wanted) {
        for (const NodeId id : are) {
            if (std::find(were.begin(), were.end(), id) == were.end()) ++result.backups_renewed;
        }
        if (!primary || are.size() >= wanted) return;
        const auto pool = after_.pool_live.find(after_.nodes.at(primary).flavour);
        result.thinnings.push_back({terminal, session, static_cast<std::uint32_t>(are.size()), wanted,
                                    pool == after_.pool_live.end() ? std::string() : pool->second.reason});
    }

    const State& before_;
    const State& after_;
    Durations durations_;
    std::map<NodeId, std::uint32_t> restores_;
};

Rehearsal read(const Core& core, World& world) {
    Rehearsal result;
    result.complete = world.settle();
    result.code = world.reply().code;
    result.text = world.reply().text;
    Comparison(core.state(), world.core().state()).into(result);
    return result;
}

}  // namespace

Rehearsal rehearse_loss(const Core& core, HostId host, Moment now) {
    Core copy = core.copy();
    Step first = copy.imagine_gone(now, host);
    World world(std::move(copy), now, host);
    world.begin(std::move(first));
    return read(core, world);
}

Rehearsal rehearse(const Core& core, const Wish& wish, Moment now) {
    World world(core.copy(), now, {});
    world.tell(Intent{kAsker, 1, "rehearsal", wish});
    return read(core, world);
}

}  // namespace understudy::manager
