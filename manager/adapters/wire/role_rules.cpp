// See role_rules.hpp.
#include "manager/adapters/wire/role_rules.hpp"

#include <algorithm>

#include "manager/runtime/verbs.hpp"

namespace understudy::manager {
namespace {

bool said_by_agents(const Message& message) {
    return std::holds_alternative<Hello>(message) || std::holds_alternative<Heartbeat>(message) ||
           std::holds_alternative<SessionStatus>(message) || std::holds_alternative<DesktopStatus>(message) ||
           std::holds_alternative<LayoutReport>(message) || std::holds_alternative<WitnessReport>(message) ||
           std::holds_alternative<NameKey>(message);
}

bool said_by_terminals(const Message& message) {
    return std::holds_alternative<TerminalAttach>(message) || std::holds_alternative<TerminalDetach>(message) ||
           std::holds_alternative<TerminalSeen>(message);
}

bool may_attach(const PeerIdentity& who, const std::string& terminal) {
    return std::any_of(who.terminals.begin(), who.terminals.end(),
                       [&terminal](const std::string& own) { return own == "*" || own == terminal; });
}

/// How far a role reaches among those that ask and act; a gateway checks its own people.
int reach(PeerRole role) {
    switch (role) {
        case PeerRole::observer: return 1;
        case PeerRole::operator_: return 2;
        case PeerRole::administrator:
        case PeerRole::gateway: return 3;
        case PeerRole::agent:
        case PeerRole::newcomer:
        case PeerRole::terminal: break;
    }
    return 0;
}

std::string refusal_of(const PeerIdentity& who, const AdminRequest& request) {
    if (reach(who.role) == 0) return std::string("the role ") + to_string(who.role) + " may not say AdminRequest";
    const PeerRole least = least_role(request);
    if (reach(who.role) < reach(least)) {
        const std::string mine = who.role == PeerRole::observer ? "may look and not act" : std::string("has the role ") + to_string(who.role);
        return "\"" + who.name + "\" " + mine + ": \"" + request.verb + "\" needs a key with the role " + to_string(least) +
               (acts_on_something(request) ? "; dry-run=yes shows what it would do" : "");
    }
    if (who.role != PeerRole::gateway && names_person(request)) {
        return "\"" + who.name + "\" asks in its own name: only a gateway says by=... for whom it asks";
    }
    return {};
}

const std::string* terminal_named(const Message& message) {
    if (const auto* attach = std::get_if<TerminalAttach>(&message)) return &attach->terminal;
    if (const auto* detach = std::get_if<TerminalDetach>(&message)) return &detach->terminal;
    return nullptr;
}

}  // namespace

std::string refusal_of(const PeerIdentity& who, const Message& message) {
    if (const auto* request = std::get_if<AdminRequest>(&message)) return refusal_of(who, *request);
    bool allowed = false;
    switch (who.role) {
        case PeerRole::agent: allowed = said_by_agents(message); break;
        case PeerRole::terminal: allowed = said_by_terminals(message); break;
        case PeerRole::operator_:
        case PeerRole::administrator:
        case PeerRole::observer: break;
        case PeerRole::gateway: allowed = said_by_terminals(message); break;
        case PeerRole::newcomer: allowed = std::holds_alternative<NameKey>(message); break;
    }
    if (!allowed) return std::string("the role ") + to_string(who.role) + " may not say " + name_of(message);
    if (const std::string* terminal = terminal_named(message); terminal != nullptr && !may_attach(who, *terminal)) {
        return "the key of \"" + who.name + "\" may not attach to terminal \"" + *terminal +
               "\": list it under terminals of that [[peer]]";
    }
    const Hello* hello = std::get_if<Hello>(&message);
    if (hello != nullptr && who.node && hello->node != who.node) {
        return "the key belongs to node " + to_string(who.node) + " and the message says node " + to_string(hello->node);
    }
    return {};
}

Message refusal_for(PeerRole role, std::uint32_t code, const std::string& why, const Message* message) {
    // Whoever asked waits for the answer to this very request.
    const auto* request = message == nullptr ? nullptr : std::get_if<AdminRequest>(message);
    if (request != nullptr && role != PeerRole::agent) return AdminReply{request->request, code, why, {}};
    switch (role) {
        case PeerRole::agent: return NotRegistered{0, why};
        case PeerRole::newcomer: return KeyNamed{{}, code, why};
        case PeerRole::operator_:
        case PeerRole::administrator:
        case PeerRole::observer: return AdminReply{0, code, why, {}};
        case PeerRole::terminal:
        case PeerRole::gateway: break;
    }
    return TerminalRefused{code, why};
}

}  // namespace understudy::manager
