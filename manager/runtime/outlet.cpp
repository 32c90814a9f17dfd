// See outlet.hpp.
#include "manager/runtime/outlet.hpp"

namespace understudy::manager {
namespace {

const char* word(Duty duty) {
    switch (duty) {
        case Duty::released: return "released";
        case Duty::primary: return "primary";
        case Duty::backup: return "backup";
    }
    return "?";
}

std::string about(IncidentId incident) { return incident ? " incident=" + to_string(incident) : std::string(); }

/// One line for what changes something; the rest (acknowledgements, views) is not worth one.
std::string line_for(const Message& message) {
    if (const auto* assign = std::get_if<AssignSession>(&message)) {
        return "session " + to_string(assign->session) + " " + word(assign->duty) + " epoch=" + std::to_string(assign->epoch) +
               " revision=" + std::to_string(assign->revision) + about(assign->incident);
    }
    if (const auto* assign = std::get_if<AssignDesktop>(&message)) {
        return "desktop of terminal " + to_string(assign->terminal) + " " + word(assign->duty) + " epoch=" +
               std::to_string(assign->epoch) + " revision=" + std::to_string(assign->revision) + about(assign->incident);
    }
    if (const auto* redirect = std::get_if<TerminalRedirect>(&message)) {
        return "terminal " + to_string(redirect->terminal) + " to " + redirect->endpoint.host + ":" +
               std::to_string(redirect->endpoint.port) + " epoch=" + std::to_string(redirect->epoch) + about(redirect->incident);
    }
    return {};
}

}  // namespace

void Outlet::send_to_node(NodeId to, const Message& message) {
    if (const std::string line = line_for(message); !line.empty()) log_(LogWeight::info, "to node " + to_string(to) + ": " + line);
    peers_.send(to, message);
}

void Outlet::send_to_client(ClientId to, const Message& message) {
    if (const std::string line = line_for(message); !line.empty()) log_(LogWeight::info, "to client " + to_string(to) + ": " + line);
    if (const auto* reply = std::get_if<AdminReply>(&message)) heard_(to, *reply);
    peers_.send(to, message);
}

std::string Outlet::name_host(HostId id) {
    const HostRecord* host = core_.state().hosts.find(id);
    if (host == nullptr) return "?";
    hypervisors_.know_host(*host);
    return host->name;
}

void Outlet::create(const CreateInstance& action) {
    const std::string host = name_host(action.host);
    log_(LogWeight::info, "creating instance " + to_string(action.instance) + " (" + action.flavour +
                              (action.tier == Tier::paused ? ", standing still" : "") + ") on host " + host);
    hypervisors_.create(action);
}

void Outlet::resume(const ResumeInstance& action) {
    const std::string host = name_host(action.host);
    log_(LogWeight::info, "letting instance " + to_string(action.instance) + " on host " + host + " continue");
    hypervisors_.resume(action);
}

void Outlet::scrub(const ScrubInstance& action) {
    const std::string host = name_host(action.host);
    log_(LogWeight::info, "scrubbing instance " + to_string(action.instance) + " on host " + host);
    hypervisors_.scrub(action);
}

void Outlet::deploy(const DeployEnvironment& action) {
    const std::string host = name_host(action.host);
    log_(LogWeight::info, "deploying environment " + action.environment + " on instance " + to_string(action.instance) + ", host " + host);
    hypervisors_.deploy(action);
}

void Outlet::destroy(const DestroyInstance& action) {
    const std::string host = name_host(action.host);
    log_(LogWeight::info, "destroying instance " + to_string(action.instance) + " on host " + host);
    hypervisors_.destroy(action);
}

void Outlet::list(const ListInstances& action) {
    name_host(action.host);
    hypervisors_.list(action);
}

void Outlet::fence(const FenceHost& action) {
    const std::string host = name_host(action.host);
    log_(LogWeight::notice, "fencing host " + host);
    hypervisors_.fence(action);
}

void Outlet::note(const Note& action) {
    const LogWeight weight = action.weight == Note::Weight::detail   ? LogWeight::debug
                             : action.weight == Note::Weight::notice ? LogWeight::notice
                                                                     : LogWeight::alarm;
    log_(weight, action.text + about(action.incident));
}

}  // namespace understudy::manager
