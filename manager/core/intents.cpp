// What administrators and the configuration want. Every wish is checked before anything is changed, and
// answered exactly once; a repeated request gets the first answer again.
#include "manager/core/decide.hpp"
#include "manager/core/definitions.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kAnswersKept = 1024;
constexpr std::size_t kNoticeBytes = 500;  ///< a line, not a letter

struct Granter {
    State& state;
    const std::string& reason;
    Author author;
    using Answer = Result<std::string>;

    Answer operator()(const DefineHost& wish) const { return define_host(state, wish.host, author); }
    Answer operator()(const RemoveHost& wish) const { return remove_host(state, wish.name); }
    Answer operator()(const DefinePool& wish) const { return define_pool(state, wish.pool, author); }
    Answer operator()(const RemovePool& wish) const { return remove_pool(state, wish.flavour); }
    Answer operator()(const DefineEnvironment& wish) const { return define_environment(state, wish.environment); }
    Answer operator()(const DefineProfile& wish) const { return define_profile(state, wish.profile); }

    Answer operator()(const DefineTerminal& wish) const {
        if (!good_name(wish.name)) return bad_name("terminal", wish.name);
        if (state.profiles.find(wish.profile) == nullptr) {
            return failure(ErrorCode::not_found, "terminal " + wish.name + ": there is no profile '" + wish.profile + "'");
        }
        const auto known = state.terminal_names.find(wish.name);
        if (known != state.terminal_names.end()) {
            const TerminalRecord& terminal = state.terminals.at(known->second);
            if (terminal.profile == wish.profile) return "terminal " + wish.name + " is as defined";
            if (terminal.state != TerminalState::defined) {
                return failure(ErrorCode::refused, "terminal " + wish.name + " is in use with profile '" + terminal.profile + "'; release it first");
            }
        }
        const TerminalId id = known == state.terminal_names.end() ? TerminalId(take_id(state)) : known->second;
        change_terminal(state, id, [&](TerminalRecord& record) {
            record.id = id;
            record.name = wish.name;
            record.profile = wish.profile;
            if (rebuilding(state)) record.epoch_floor = 1;  // what its program has obeyed may be higher
        });
        state.terminal_names[wish.name] = id;
        return "terminal " + wish.name + " is defined";
    }

    Answer operator()(const RemoveTerminal& wish) const {
        const auto known = state.terminal_names.find(wish.name);
        if (known == state.terminal_names.end()) return no_terminal(wish.name);
        release_terminal(state, known->second);
        state.terminals.erase(known->second);
        state.terminal_live.erase(known->second);
        state.terminal_names.erase(known);
        return "terminal " + wish.name + " is removed";
    }

    Answer operator()(const EnrolNode& wish) const {
        if (!good_name(wish.name)) return bad_name("node", wish.name);
        const auto host = state.host_names.find(wish.host);
        if (host == state.host_names.end()) return no_host(wish.host);
        for (const NodeId other : state.host_live[host->second].nodes) {
            if (state.nodes.at(other).name == wish.name) return std::to_string(other.value);
        }
        const NodeId id(take_id(state));
        change_node(state, id, [&](NodeRecord& record) {
            record.id = id;
            record.kind = NodeKind::enrolled;
            record.host = host->second;
            record.name = wish.name;
            record.state = NodeState::idle;
            record.slots = std::max(wish.slots, 1u);
            record.door = wish.door;
            record.reason = "enrolled";
            record.adopted = rebuilding(state);
        });
        NodeLive& live = state.live[id];
        live.heard = state.fair();
        live.lease_until = state.now;
        live.state_since = state.now;
        arm_node(state, id);
        return std::to_string(id.value);
    }

    Answer operator()(const ReleaseTerminal& wish) const {
        const auto known = state.terminal_names.find(wish.name);
        if (known == state.terminal_names.end()) return no_terminal(wish.name);
        release_terminal(state, known->second);
        return "terminal " + wish.name + " is released";
    }

    Answer operator()(const FailOverSession& wish) const {
        const SessionRecord* session = state.sessions.find(wish.session);
        if (session == nullptr) return failure(ErrorCode::not_found, "there is no session " + to_string(wish.session));
        if (session->backups.empty()) {
            return failure(ErrorCode::unavailable, session->application.title + " has no backup yet; try again when one stands by");
        }
        state.session_live[wish.session].move_wanted = true;
        queue_terminal(state, session->terminal);
        return session->application.title + " will move to its backup";
    }

    Answer operator()(const FailOverPresentation& wish) const {
        const auto known = state.terminal_names.find(wish.terminal);
        if (known == state.terminal_names.end()) return no_terminal(wish.terminal);
        if (state.terminals.at(known->second).backups.empty()) {
            return failure(ErrorCode::unavailable, "the desktop of " + wish.terminal + " has no backup yet; try again when one stands by");
        }
        state.terminal_live[known->second].move_wanted = true;
        queue_terminal(state, known->second);
        return "the desktop of " + wish.terminal + " will move to its backup";
    }

    Answer operator()(const KillInstance& wish) const {
        const NodeRecord* node = state.nodes.find(wish.node);
        if (node == nullptr) return no_node(wish.node);
        if (node->kind != NodeKind::instance) return failure(ErrorCode::refused, "node " + to_string(wish.node) + " is not an instance of ours");
        if (node->state == NodeState::condemned) return "node " + to_string(wish.node) + " is being destroyed already";
        condemn(state, wish.node, "killed by an administrator" + (reason.empty() ? "" : ": " + reason));
        return "node " + to_string(wish.node) + " is being destroyed";
    }

    Answer operator()(const SetDrain& wish) const {
        if (state.nodes.find(wish.node) == nullptr) return no_node(wish.node);
        change_node(state, wish.node, [&](NodeRecord& record) {
            record.draining = wish.drain;
            record.reason = (wish.drain ? "drained" : "back from draining") + (reason.empty() ? "" : ": " + reason);
        });
        queue_users(state, wish.node);
        return "node " + to_string(wish.node) + (wish.drain ? " is being drained" : " takes work again");
    }

    Answer operator()(const SetMaintenance& wish) const {
        const auto known = state.host_names.find(wish.host);
        if (known == state.host_names.end()) return no_host(wish.host);
        state.hosts.edit(known->second).maintenance = wish.maintenance;
        const std::set<NodeId> nodes = state.host_live[known->second].nodes;
        for (const NodeId node : nodes) {
            refresh_node(state, node);
            queue_users(state, node);
        }
        state.pools_dirty = true;
        return "host " + wish.host + (wish.maintenance ? " is in maintenance" : " is active");
    }

    Answer operator()(const FenceByHand& wish) const {
        const auto known = state.host_names.find(wish.host);
        if (known == state.host_names.end()) return no_host(wish.host);
        if (!state.hosts.at(known->second).can_fence) {
            return failure(ErrorCode::refused, "host " + wish.host + " has no fence agent, so nothing here can switch it off: give its [[host]] a fence_agent in the manager's configuration");
        }
        const Power power = state.hosts.at(known->second).power;
        if (power == Power::going_off) return "host " + wish.host + " is being switched off already";
        if (power == Power::off) return failure(ErrorCode::refused, "host " + wish.host + " is off already; switch it on, and use it again");
        // Nothing is placed there before somebody says so.
        if (!UNDERSTUDY_PLANTED("switched_off_host_is_used")) state.hosts.edit(known->second).maintenance = true;
        fence_by_hand(state, known->second, reason);
        state.pools_dirty = true;
        return "host " + wish.host + " is being switched off; it stays in maintenance until it is used again";
    }

    Answer operator()(const OverrideGate&) const {
        if (!state.gate.closed) return failure(ErrorCode::refused, "the mass-failure gate is not closed");
        release_gate(state);
        return "the held nodes are given up";
    }

    Answer operator()(const NotifyTerminal& wish) const {
        if (wish.text.empty() || wish.text.size() > kNoticeBytes) {
            return failure(ErrorCode::invalid, "the text must have 1 to " + std::to_string(kNoticeBytes) + " bytes");
        }
        if (wish.terminal != "all") {
            const auto known = state.terminal_names.find(wish.terminal);
            if (known == state.terminal_names.end()) return no_terminal(wish.terminal);
            const ClientId client = state.terminal_live[known->second].client;
            if (!client) return failure(ErrorCode::unavailable, "nobody sits at terminal " + wish.terminal + " at this moment");
            act_now(state, SendToClient{client, TerminalNotice{known->second, wish.text}});
            return "told terminal " + wish.terminal;
        }
        std::size_t told = 0;
        for (const auto& [id, terminal] : state.terminals.rows()) {
            const ClientId client = state.terminal_live[id].client;
            if (!client) continue;
            act_now(state, SendToClient{client, TerminalNotice{id, wish.text}});
            ++told;
        }
        return "told " + std::to_string(told) + (told == 1 ? " terminal" : " terminals");
    }

    static tl::unexpected<Error> no_terminal(const std::string& name) {
        return failure(ErrorCode::not_found, "there is no terminal named '" + name + "'");
    }
    static tl::unexpected<Error> no_host(const std::string& name) {
        return failure(ErrorCode::not_found, "there is no host named '" + name + "'");
    }
    static tl::unexpected<Error> no_node(NodeId id) {
        return failure(ErrorCode::not_found, "there is no node " + to_string(id));
    }
};

}  // namespace

void on_intent(State& state, const Intent& intent) {
    const std::pair key{intent.client, intent.request};
    if (intent.client) {
        if (const auto known = state.answered.find(key); known != state.answered.end()) {
            act_durable(state, SendToClient{intent.client, known->second});
            return;
        }
    }
    AdminReply reply;
    reply.request = intent.request;
    if (intent.client && state.store_failing) {
        reply.code = static_cast<std::uint32_t>(ErrorCode::unavailable);
        reply.text = "nothing was changed: the manager cannot keep records at the moment: " + state.store_reason + "; try again later";
        act_now(state, SendToClient{intent.client, std::move(reply)});
        return;
    }
    const Author author = intent.client ? Author::person : Author::configuration;
    const Result<std::string> outcome = std::visit(Granter{state, intent.reason, author}, intent.wish);
    reply.code = outcome ? 0 : static_cast<std::uint32_t>(outcome.error().code);
    reply.text = outcome ? *outcome : outcome.error().message;
    if (!intent.client) {
        if (!outcome) note(state, Note::Weight::alarm, {}, "configuration: " + reply.text);
        return;
    }
    note(state, Note::Weight::notice, {}, "administrator: " + reply.text + (intent.reason.empty() ? "" : " (" + intent.reason + ")"));
    state.answered[key] = reply;
    state.answered_order.push_back(key);
    if (state.answered_order.size() > kAnswersKept) {
        state.answered.erase(state.answered_order.front());
        state.answered_order.pop_front();
    }
    act_durable(state, SendToClient{intent.client, std::move(reply)});
}

}  // namespace understudy::manager
