// Runs scripts for the agent core: the script is the manager, the performer and whoever knocks at the door.
// README.md lists the words for people.
#include <algorithm>
#include <functional>
#include <sstream>

#include "nodes/core/agent_core.hpp"
#include "tests/golden/stage.hpp"
#include "tests/golden/words.hpp"

namespace understudy::golden {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kBegin{1h};
constexpr std::uint64_t kIncarnation = 99;

class AgentStage {
  public:
    std::string run(const std::vector<Statement>& statements) {
        for (const Statement& statement : statements) {
            if (!statement.timed) {
                if (statement.words[0] != "agent") statement.fail("only 'agent nNUMBER' stands before the clock runs");
                core_.emplace(identity(NodeId(parse_number(statement.word(1, "its number").substr(1)))));
                continue;
            }
            advance(kBegin + statement.at);
            print("", clock() + " ── " + statement.text);
            perform(statement);
        }
        advance(now_);
        return out_.str();
    }

  private:
    static node::Identity identity(NodeId id) {
        node::Identity made;
        made.node = id;
        made.incarnation = kIncarnation;
        made.software = "golden";
        made.can_checkpoint = true;
        return made;
    }

    void print(const std::string& indent, const std::string& line) { out_ << indent << line << '\n'; }
    [[nodiscard]] std::string clock() const { return seconds_of(now_ - kBegin); }

    void advance(TimePoint until) {
        while (true) {
            const TimePoint next = std::min(wake_at_, agenda_.next());
            if (next > until || next == kNever) break;
            now_ = std::max(now_, next);
            if (wake_at_ <= agenda_.next()) feed(node::Woken{}, "woken");
            else agenda_.take()();
        }
        now_ = std::max(now_, until);
    }

    void feed(const node::Event& event, const std::string& what) { take(core_->handle(now_, event), what); }
    void hear(Message message) {
        const std::string what = "hears " + describe_message(names_, message);
        feed(node::FromManager{std::move(message)}, what);
    }

    void take(node::Step step, const std::string& what) {
        std::vector<std::string> lines;
        for (const node::Action& action : step.actions) {
            const std::string line = describe(action);
            if (!line.empty()) lines.push_back(line);
            if (acknowledge_) answer(action);
        }
        if (!lines.empty()) {
            print("  ", clock() + "  " + what);
            for (const std::string& line : lines) print("      ", line);
        }
        wake_at_ = step.wake_at;
    }

    /// What a manager that answers would say.
    void answer(const node::Action& action) {
        const auto* send = std::get_if<node::SendToManager>(&action);
        if (send == nullptr) return;
        const auto later = [&](Message message) {
            agenda_.add(now_ + kWire, [this, kept = std::move(message)] { hear(kept); });
        };
        if (const auto* beat = std::get_if<Heartbeat>(&send->message)) later(HeartbeatAck{beat->registration, beat->sequence});
        else if (const auto* session = std::get_if<SessionStatus>(&send->message)) later(ReportAck{session->registration, session->number});
        else if (const auto* desktop = std::get_if<DesktopStatus>(&send->message)) later(ReportAck{desktop->registration, desktop->number});
    }

    [[nodiscard]] std::string describe(const node::Action& action) const {
        if (const auto* send = std::get_if<node::SendToManager>(&action)) {
            if (const auto* beat = std::get_if<Heartbeat>(&send->message)) {
                return beats_ ? "says Heartbeat " + std::to_string(beat->sequence) + " under " + std::to_string(beat->registration) : "";
            }
            std::string line = "says " + describe_message(names_, send->message);
            if (const auto* session = std::get_if<SessionStatus>(&send->message)) line += " [report " + std::to_string(session->number) + "]";
            if (const auto* desktop = std::get_if<DesktopStatus>(&send->message)) line += " [report " + std::to_string(desktop->number) + "]";
            return line;
        }
        if (const auto* session = std::get_if<node::PerformSession>(&action)) return "does " + describe_message(names_, session->assign);
        if (const auto* desktop = std::get_if<node::PerformDesktop>(&action)) return "does " + describe_message(names_, desktop->assign);
        if (const auto* freeze = std::get_if<node::FreezeSession>(&action)) return "freezes " + names_.of(freeze->session);
        if (const auto* thaw = std::get_if<node::ThawSession>(&action)) return "thaws " + names_.of(thaw->session);
        if (std::holds_alternative<node::CloseDoor>(action)) return "closes the door";
        if (std::holds_alternative<node::OpenDoor>(action)) return "opens the door";
        return "knocks at the door of " + names_.of(std::get<node::Witness>(action).suspect);
    }

    SessionId session(const std::string& name) {
        const auto [found, added] = sessions_.try_emplace(name, SessionId(sessions_.size() + 1));
        if (added) names_.learn(found->second, name);
        return found->second;
    }
    TerminalId terminal(const std::string& name) {
        const auto [found, added] = terminals_.try_emplace(name, TerminalId(terminals_.size() + 1));
        if (added) names_.learn(found->second, name);
        return found->second;
    }

    static Duty duty(const Statement& statement, const std::string& word) {
        if (word == "primary") return Duty::primary;
        if (word == "backup") return Duty::backup;
        if (word == "released") return Duty::released;
        statement.fail("a duty is primary, backup or released");
    }
    static Phase phase(const Statement& statement, const std::string& word) {
        for (const Phase candidate : {Phase::preparing, Phase::running, Phase::standby, Phase::ended, Phase::failed, Phase::released}) {
            if (word == word_for(candidate)) return candidate;
        }
        statement.fail("'" + word + "' is no phase");
    }
    static CheckpointId checkpoint(const std::string& text) {
        const auto parts = split(text, ':');
        return {parse_number(parts.at(0)), parse_number(parts.at(1))};
    }

    void do_welcome(const Statement& statement) {
        Welcome welcome;
        welcome.registration = statement.number("registration", 5);
        welcome.incarnation = statement.number("incarnation", kIncarnation);
        welcome.hello = statement.number("hello", 1);
        welcome.heartbeat_ms = static_cast<std::uint32_t>(to_ms(statement.duration("heartbeat", 1s)));
        welcome.lease_ms = static_cast<std::uint32_t>(to_ms(statement.duration("lease", 10s)));
        welcome.ticket_key = "key";
        hear(std::move(welcome));
    }

    void do_assign(const Statement& statement) {
        const std::uint64_t registration = statement.number("registration", core_->registration());
        if (statement.word(1, "what") == "desktop") {
            AssignDesktop assign;
            assign.registration = registration;
            assign.terminal = terminal(statement.word(3, "a terminal"));
            assign.duty = duty(statement, statement.word(4, "a duty"));
            assign.epoch = statement.number("epoch", 1);
            assign.revision = statement.number("revision", 1);
            hear(std::move(assign));
            return;
        }
        AssignSession assign;
        assign.registration = registration;
        assign.terminal = terminal(statement.option("terminal", "desk1"));
        assign.session = session(statement.word(1, "an application"));
        assign.duty = duty(statement, statement.word(2, "a duty"));
        assign.epoch = statement.number("epoch", 1);
        assign.revision = statement.number("revision", 1);
        assign.presentation_epoch = statement.number("desktop_epoch", 1);
        assign.presentation = NodeId(4);
        assign.protection = Protection::checkpoint;
        if (const std::string from = statement.option("restore", ""); !from.empty()) assign.restore = checkpoint(from);
        for (const std::string& peer : split(statement.option("peers", ""), ',')) {
            assign.peers.push_back({NodeId(parse_number(peer.substr(1))), {"there", 5900}, {}});
        }
        hear(std::move(assign));
    }

    /// The performer reports.
    void do_happens(const Statement& statement) {
        if (statement.word(1, "to what") == "desktop") {
            DesktopStatus status;
            status.terminal = terminal(statement.word(3, "a terminal"));
            status.phase = phase(statement, statement.word(4, "a phase"));
            status.epoch = statement.number("epoch", 1);
            feed(node::DesktopHappened{status}, "the performer reports");
            return;
        }
        SessionStatus status;
        status.session = session(statement.words[1]);
        status.phase = phase(statement, statement.word(2, "a phase"));
        status.epoch = statement.number("epoch", 1);
        status.ending = status.phase == Phase::ended ? Ending::crashed : Ending::none;
        if (const std::string held = statement.option("holds", ""); !held.empty()) status.checkpoints.push_back({checkpoint(held), 0, 0, 0});
        feed(node::SessionHappened{status}, "the performer reports");
    }

    /// Somebody knocks with a ticket whose signature is good.
    void do_knock(const Statement& statement) {
        TicketClaims claims;
        const std::string& what = statement.word(1, "with which ticket");
        claims.purpose = what == "desktop" ? Purpose::desktop : what == "checkpoint" ? Purpose::checkpoint : Purpose::window;
        claims.terminal = terminal(what == "desktop" ? statement.word(2, "a terminal") : "desk1");
        if (what != "desktop") claims.session = session(statement.word(2, "an application"));
        claims.door = NodeId(statement.number("door", 7));
        claims.epoch = statement.number("epoch", 1);
        claims.serving_epoch = statement.number("serving", 1);
        const auto answer = core_->admits(claims, now_);
        print("    ", answer ? "admitted" : "refused: " + answer.error().message);
    }

    void do_show(const Statement&) {
        const auto& counters = core_->counters();
        print("    ", std::string("lease ") + (core_->lease_valid(now_) ? "valid" : "over") + ", registration " + std::to_string(core_->registration()) +
                          ", refused: stale registration " + std::to_string(counters.stale_registration) + ", stale epoch " +
                          std::to_string(counters.stale_epoch) + ", unexpected " + std::to_string(counters.unexpected));
    }

    void perform(const Statement& statement) {
        if (!core_) statement.fail("'agent nNUMBER' must come first");
        const std::string& verb = statement.words[0];
        if (verb == "start") take(core_->start(now_), "starts");
        else if (verb == "welcome") do_welcome(statement);
        else if (verb == "assign") do_assign(statement);
        else if (verb == "happens") do_happens(statement);
        else if (verb == "knock") do_knock(statement);
        else if (verb == "show") do_show(statement);
        else if (verb == "manager") acknowledge_ = statement.word(1, "answers or is") == "answers";
        else if (verb == "beats") beats_ = statement.word(1, "shown or hidden") == "shown";
        else if (verb == "refusal") hear(NotRegistered{statement.number("registration", core_->registration()), statement.words.back()});
        else if (verb == "ack") hear(HeartbeatAck{statement.number("registration", core_->registration()), statement.number("beat", 1)});
        else if (verb == "link") feed(node::LinkChanged{statement.word(1, "up or down") == "up"}, "the link is " + statement.words[1]);
        else if (verb != "end") statement.fail("there is no such verb");
    }

    std::ostringstream out_;
    Names names_;
    std::optional<node::AgentCore> core_;
    Agenda agenda_;
    TimePoint now_ = kBegin;
    TimePoint wake_at_ = kNever;
    bool acknowledge_ = false;
    bool beats_ = false;
    std::map<std::string, SessionId> sessions_;
    std::map<std::string, TerminalId> terminals_;
};

}  // namespace

std::string run_agent_script(const std::vector<Statement>& statements) { return AgentStage().run(statements); }

}  // namespace understudy::golden
