// See role_rules.hpp.
#include "manager/adapters/wire/role_rules.hpp"

#include <algorithm>

#include "manager/runtime/verbs.hpp"

namespace understudy::manager {
namespace {

bool said_by_agents(const Message& message) {
    return std::holds_alternative<Hello>(message) || std::holds_alternative<Heartbeat>(message) ||
           std::holds_alternative<SessionStatus>(message) || std::holds_alternative<DesktopStatus>(message) ||
           std::holds_alternative<LayoutReport>(message) || std::holds_alternative<WitnessReport>(message);
}

bool said_by_terminals(const Message& message) {
    return std::holds_alternative<TerminalAttach>(message) || std::holds_alternative<TerminalDetach>(message) ||
           std::holds_alternative<TerminalSeen>(message);
}

bool may_attach(const PeerIdentity& who, const std::string& terminal) {
    return std::any_of(who.terminals.begin(), who.terminals.end(),
                       [&terminal](const std::string& own) { return own == "*" || own == terminal; });
}

const std::string* terminal_named(const Message& message) {
    if (const auto* attach = std::get_if<TerminalAttach>(&message)) return &attach->terminal;
    if (const auto* detach = std::get_if<TerminalDetach>(&message)) return &detach->terminal;
    return nullptr;
}

}  // namespace

std::string refusal_of(const PeerIdentity& who, const Message& message) {
    const auto* request = std::get_if<AdminRequest>(&message);
    if (who.role == PeerRole::observer && request != nullptr && !only_looks(*request)) {
        return "\"" + who.name + "\" may look and not act: \"" + request->verb +
               "\" needs a key with the role operator; dry-run=yes shows what it would do";
    }
    bool allowed = false;
    switch (who.role) {
        case PeerRole::agent: allowed = said_by_agents(message); break;
        case PeerRole::terminal: allowed = said_by_terminals(message); break;
        case PeerRole::operator_:
        case PeerRole::observer: allowed = request != nullptr; break;
        case PeerRole::gateway: allowed = said_by_terminals(message) || std::holds_alternative<AdminRequest>(message); break;
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
        case PeerRole::operator_:
        case PeerRole::observer: return AdminReply{0, code, why, {}};
        case PeerRole::terminal:
        case PeerRole::gateway: break;
    }
    return TerminalRefused{code, why};
}

}  // namespace understudy::manager
