// See view_text.hpp.
#include "client/command/view_text.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "client/command/amounts.hpp"
#include "client/command/table.hpp"

namespace understudy::client {
namespace {

using Json = nlohmann::json;

const Json& member(const Json& object, const char* key) {
    static const Json kNothing;
    if (!object.is_object()) return kNothing;
    const auto found = object.find(key);
    return found == object.end() ? kNothing : *found;
}

/// Any scalar as text; empty for null and for what is not there.
std::string text_of(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    if (value.is_number()) return value.dump();
    return {};
}

std::string text_of(const Json& object, const char* key) { return text_of(member(object, key)); }

std::int64_t number_of(const Json& object, const char* key) {
    const Json& value = member(object, key);
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (value.is_number_float()) return static_cast<std::int64_t>(value.get<double>());
    return 0;
}

std::uint64_t amount_of(const Json& object, const char* key) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_of(object, key)));
}

bool holds(const Json& object, const char* key) { return member(object, key).is_number(); }

const Json& list_of(const Json& object, const char* key) {
    static const Json kNone = Json::array();
    const Json& value = member(object, key);
    return value.is_array() ? value : kNone;
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
    std::string out;
    for (const std::string& part : parts) out += (out.empty() ? "" : between) + part;
    return out;
}

/// 7, or nothing for "no node".
std::string node_of(const Json& object, const char* key) {
    return number_of(object, key) == 0 ? std::string() : text_of(object, key);
}

std::string used_of(const Json& host, const char* key) {
    return text_of(member(host, "used"), key) + "/" + text_of(member(host, "capacity"), key);
}

std::string hosts_text(const Json& view) {
    Table table({{"ID", Align::right}, {"HOST"}, {"STATE"}, {"DOMAIN"}, {"VCPUS", Align::right},
                 {"MEMORY", Align::right}, {"INSTANCES", Align::right}, {"ACCELERATION"}, {"FENCE"}, {"ADDRESS"}});
    for (const Json& host : list_of(view, "hosts")) {
        const std::string memory = mebibytes_text(amount_of(member(host, "used"), "memory_mib")) + "/" +
                                   mebibytes_text(amount_of(member(host, "capacity"), "memory_mib"));
        table.add({text_of(host, "id"), text_of(host, "name"), text_of(host, "state"), text_of(host, "domain"),
                   used_of(host, "vcpus"), memory, std::to_string(list_of(host, "instances").size()),
                   text_of(host, "acceleration"), text_of(member(host, "fence"), "state"), text_of(host, "uri")});
    }
    return table.empty() ? "No hosts. Enter them in the manager's configuration.\n" : table.text();
}

std::string nodes_text(const Json& view) {
    Table table({{"ID", Align::right}, {"NODE"}, {"HOST"}, {"STATE"}, {"ROLE"}, {"HEALTH"}, {"SLOTS", Align::right},
                 {"LOAD", Align::right}, {"HEARD", Align::right}, {"DOOR"}, {"LAST DECISION"}});
    for (const Json& node : list_of(view, "nodes")) {
        const Json& proof = member(node, "proof");
        std::string reason = text_of(node, "reason");
        if (proof.is_object()) reason += (reason.empty() ? "proof: " : "; proof: ") + text_of(proof, "kind");
        table.add({text_of(node, "id"), text_of(node, "name"), text_of(node, "host"), text_of(node, "state"),
                   text_of(node, "role"), text_of(node, "health"), text_of(node, "used") + "/" + text_of(node, "slots"),
                   holds(node, "load_permille") ? std::to_string(number_of(node, "load_permille") / 10) + " %" : "",
                   holds(node, "heard_ms_ago") ? duration_text(number_of(node, "heard_ms_ago") * 1000) : "",
                   text_of(node, "door"), reason});
    }
    return table.empty() ? "No nodes yet: none enrolled, and no instance was created.\n" : table.text();
}

/// "8 standby, 9 preparing"
std::string backups_of(const Json& assignment) {
    std::vector<std::string> parts;
    for (const Json& backup : list_of(assignment, "backups")) {
        parts.push_back(text_of(backup, "node") + " " + text_of(backup, "phase"));
    }
    return joined(parts, ", ");
}

std::string terminals_text(const Json& view) {
    Table table({{"ID", Align::right}, {"TERMINAL"}, {"PROFILE"}, {"STATE"}, {"EPOCH", Align::right}, {"DESKTOP ON"},
                 {"STANDING BY"}, {"SESSIONS"}, {"WAITING FOR"}});
    for (const Json& terminal : list_of(view, "terminals")) {
        const Json& presentation = member(terminal, "presentation");
        std::string primary = node_of(presentation, "primary");
        if (!primary.empty()) primary += " " + text_of(presentation, "phase");
        std::vector<std::string> sessions;
        for (const Json& session : list_of(terminal, "sessions")) sessions.push_back(text_of(session));
        table.add({text_of(terminal, "id"), text_of(terminal, "name"), text_of(terminal, "profile"),
                   text_of(terminal, "state"), text_of(terminal, "epoch"), primary, backups_of(presentation),
                   joined(sessions, ", "), text_of(terminal, "waiting")});
    }
    return table.empty() ? "No terminals. Define one: understudy define-terminal NAME --profile PROFILE --reason TEXT\n"
                         : table.text();
}

/// Age of the newest checkpoint any backup holds.
std::string checkpoint_of(const Json& session) {
    std::int64_t newest_ms = -1;
    for (const Json& backup : list_of(session, "backups")) {
        const Json& checkpoint = member(backup, "checkpoint");
        if (!holds(checkpoint, "age_ms")) continue;
        const std::int64_t age_ms = number_of(checkpoint, "age_ms");
        if (newest_ms < 0 || age_ms < newest_ms) newest_ms = age_ms;
    }
    return newest_ms < 0 ? std::string() : duration_text(newest_ms * 1000) + " ago";
}

std::string sessions_text(const Json& view) {
    Table table({{"ID", Align::right}, {"TERMINAL", Align::right}, {"APPLICATION"}, {"EPOCH", Align::right}, {"RUNS ON"},
                 {"STANDING BY"}, {"PROTECTION"}, {"CHECKPOINT", Align::right}, {"PAUSE", Align::right},
                 {"LAST TAKE-OVER LOST"}});
    std::string notes;  // too long for a cell
    for (const Json& session : list_of(view, "sessions")) {
        const Json& protection = member(session, "protection");
        std::string in_force = text_of(protection, "in_force");
        if (in_force != text_of(protection, "wanted")) {
            notes += "\n" + printable("Session " + text_of(session, "id") + " has protection \"" + in_force + "\", not \"" +
                               text_of(protection, "wanted") + "\": " + text_of(protection, "reason"));
            in_force += " (!)";
        }
        std::string primary = node_of(session, "primary");
        primary += (primary.empty() ? "" : " ") + text_of(session, "phase");
        table.add({text_of(session, "id"), text_of(session, "terminal"), text_of(session, "application"),
                   text_of(session, "epoch"), primary, backups_of(session), in_force, checkpoint_of(session),
                   number_of(session, "pause_ms") > 0 ? duration_text(number_of(session, "pause_ms") * 1000) : "",
                   text_of(session, "lost")});
    }
    return table.empty() ? "No sessions: no terminal is being served.\n" : table.text() + (notes.empty() ? "" : notes + "\n");
}

/// How many are kept ready, why that many, and where the next one would be made.
std::string target_note(const Json& pool) {
    const Json& target = member(pool, "target");
    if (!target.is_object()) return {};
    std::string note = "Pool " + text_of(pool, "flavour") + " is filled up to " + text_of(target, "idle") + " idle";
    if (number_of(target, "paused") > 0) note += " and " + text_of(target, "paused") + " standing still";
    note += ": " + text_of(target, "why");
    if (const std::string why = text_of(pool, "standing_reason"); !why.empty()) note += "; none is made to stand still: " + why;
    if (const auto lost = number_of(pool, "beyond_reach"); lost > 0) {
        note += "; " + text_of(pool, "beyond_reach") + " given up on hosts that do not answer: they are not counted";
    }
    std::string next = "  the next one:";
    for (const Json& host : list_of(pool, "hosts")) next += " " + text_of(host, "host") + " (" + text_of(host, "verdict") + ")";
    return "\n" + printable(note) + "\n" + printable(next);
}

std::string pools_text(const Json& view) {
    Table table({{"FLAVOUR"}, {"IMAGE"}, {"VCPUS", Align::right}, {"MEMORY", Align::right}, {"IDLE", Align::right},
                 {"STANDING", Align::right}, {"SERVING", Align::right}, {"CREATING", Align::right}, {"TOTAL", Align::right}, {"KEPT IDLE"},
                 {"AT MOST", Align::right}, {"STATE"}});
    std::string notes;
    for (const Json& pool : list_of(view, "pools")) {
        notes += target_note(pool);
        const bool paused = member(pool, "paused").is_boolean() && member(pool, "paused").get<bool>();
        std::string state = paused ? "paused" : "active";
        if (const std::string reason = text_of(pool, "reason"); !reason.empty()) state += ": " + reason;
        table.add({text_of(pool, "flavour"), text_of(pool, "image"), text_of(pool, "vcpus"),
                   mebibytes_text(amount_of(pool, "memory_mib")), text_of(pool, "idle"), text_of(pool, "standing"), text_of(pool, "serving"),
                   text_of(pool, "creating"), text_of(pool, "total"),
                   text_of(pool, "min_idle") + " to " + text_of(pool, "max_idle"), text_of(pool, "max_total"), state});
    }
    return table.empty() ? "No pools. Enter flavours in the manager's configuration.\n" : table.text() + (notes.empty() ? "" : notes + "\n");
}

/// From the first phase to the last one.
std::string took_of(const Json& incident) {
    const Json& phases = list_of(incident, "phases");
    return phases.empty() ? std::string() : duration_text(number_of(phases.back(), "at_us"));
}

std::string incidents_text(const Json& view) {
    Table table({{"ID", Align::right}, {"OPENED"}, {"STATE"}, {"KIND"}, {"WHAT"}, {"LAST PHASE"}, {"AFTER", Align::right},
                 {"PROOF"}, {"LOST"}});
    for (const Json& incident : list_of(view, "incidents")) {
        const Json& phases = list_of(incident, "phases");
        const bool open = member(incident, "open").is_boolean() && member(incident, "open").get<bool>();
        table.add({text_of(incident, "id"), wall_text(number_of(incident, "opened_wall_ms")), open ? "open" : "closed",
                   text_of(incident, "kind"), text_of(incident, "title"),
                   phases.empty() ? "" : text_of(phases.back(), "name"), took_of(incident), text_of(incident, "proof"),
                   text_of(incident, "lost")});
    }
    return table.empty() ? "No incidents.\n" : table.text();
}

std::size_t count_where(const Json& list, const char* key, const char* value) {
    return static_cast<std::size_t>(std::count_if(list.begin(), list.end(), [&](const Json& item) {
        return text_of(item, key) == value;
    }));
}

std::string status_text(const Json& view) {
    const Json& manager = member(view, "manager");
    const Json& gate = member(manager, "gate");
    const std::int64_t now_ms = number_of(manager, "now_wall_ms");
    std::string out = "Manager    version " + text_of(manager, "version") + ", incarnation " +
                      text_of(manager, "incarnation") + ", up " +
                      duration_text((now_ms - number_of(manager, "started_wall_ms")) * 1000) + ", store " +
                      text_of(manager, "store") + "\n";
    const Json& nodes = list_of(view, "nodes");
    const Json& terminals = list_of(view, "terminals");
    const Json& incidents = list_of(view, "incidents");
    out += "Hosts      " + std::to_string(list_of(view, "hosts").size()) + " (" +
           std::to_string(count_where(list_of(view, "hosts"), "state", "active")) + " active)\n";
    out += "Nodes      " + std::to_string(nodes.size()) + " (" + std::to_string(count_where(nodes, "state", "serving")) +
           " serving, " + std::to_string(count_where(nodes, "state", "idle")) + " idle, " +
           std::to_string(count_where(nodes, "health", "suspect") + count_where(nodes, "health", "silent") +
                          count_where(nodes, "health", "down")) +
           " not healthy)\n";
    out += "Terminals  " + std::to_string(terminals.size()) + " (" +
           std::to_string(count_where(terminals, "state", "serving")) + " served), " +
           std::to_string(list_of(view, "sessions").size()) + " sessions\n";
    const auto open = std::count_if(incidents.begin(), incidents.end(), [](const Json& incident) {
        return member(incident, "open") == Json(true);
    });
    out += "Incidents  " + std::to_string(open) + " open\n";
    if (member(gate, "closed") == Json(true)) {
        out += "\nThe gate is CLOSED, unproven fail-overs are held: " + text_of(gate, "reason") +
               "\nIf the failures are real: understudy override-gate --reason TEXT\n";
    }
    for (const Json& alarm : list_of(manager, "alarms")) out += "\nALARM  " + text_of(alarm) + "\n";
    // Line breaks are ours; whatever else steers a terminal is not.
    std::string clean;
    for (std::size_t at = 0; at < out.size();) {
        const auto end = out.find('\n', at);
        clean += printable(out.substr(at, end - at)) + "\n";
        at = end + 1;
    }
    return clean + "\n" + terminals_text(view);
}

Result<Json> parsed(std::string_view text) {
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) {
        return failure(ErrorCode::damaged, "the manager's answer is not a JSON object; is it of another version?");
    }
    return json;
}

const char* key_of(Section section) {
    switch (section) {
        case Section::status: return "";
        case Section::hosts: return "hosts";
        case Section::nodes: return "nodes";
        case Section::terminals: return "terminals";
        case Section::sessions: return "sessions";
        case Section::pools: return "pools";
        case Section::incidents: return "incidents";
    }
    return "";
}

}  // namespace

Result<std::string> view_text(std::string_view view_json, Section section) {
    const auto view = parsed(view_json);
    if (!view) return tl::unexpected(view.error());
    switch (section) {
        case Section::status: return status_text(*view);
        case Section::hosts: return hosts_text(*view);
        case Section::nodes: return nodes_text(*view);
        case Section::terminals: return terminals_text(*view);
        case Section::sessions: return sessions_text(*view);
        case Section::pools: return pools_text(*view);
        case Section::incidents: return incidents_text(*view);
    }
    return std::string();
}

Result<std::string> view_json(std::string_view view_json, Section section) {
    const auto view = parsed(view_json);
    if (!view) return tl::unexpected(view.error());
    return (section == Section::status ? *view : list_of(*view, key_of(section))).dump() + "\n";
}

std::string names_in(std::string_view view_json, std::string_view kind) {
    const auto view = parsed(view_json);
    if (!view) return {};
    const bool by_name = kind == "hosts" || kind == "terminals";
    const char* key = by_name ? "name" : kind == "pools" ? "flavour" : "id";
    std::string out;
    for (const Json& item : list_of(*view, std::string(kind).c_str())) {
        if (const std::string name = printable(text_of(item, key)); !name.empty()) out += name + "\n";
    }
    return out;
}

Result<std::string> rehearsal_text(std::string_view rehearsal_json) {
    const auto rehearsal = parsed(rehearsal_json);
    if (!rehearsal) return tl::unexpected(rehearsal.error());
    const Json& counts = member(*rehearsal, "counts");
    std::string out = "Rehearsed: " + printable(text_of(*rehearsal, "title")) + "\n";
    if (const std::string text = text_of(*rehearsal, "text"); !text.empty()) out += "Answer     " + printable(text) + "\n";
    const auto count = [&](const char* key, const char* what) { return text_of(counts, key) + " " + what; };
    out += "Instances  " + count("instances_lost", "lost, ") + count("instances_made", "made\n");
    out += "Sessions and desktops  " + count("moves", "go on elsewhere, ") + count("without_place", "without a place, ") +
           count("fewer_backups", "with fewer backups, ") + count("backups_renewed", "backups set up anew\n");
    const std::int64_t expected_us = number_of(*rehearsal, "expected_us");
    out += "Takes      " + (expected_us > 0 ? "about " + duration_text(expected_us) + ", as measured in " + text_of(*rehearsal, "measured_from") + " incidents"
                                            : std::string("not known: nothing like it was measured yet")) + "\n";
    Table lacks({{"WITHOUT A PLACE"}, {"TERMINAL"}, {"WHY"}});
    for (const Json& lack : list_of(*rehearsal, "without_place")) lacks.add({text_of(lack, "what"), text_of(lack, "terminal"), text_of(lack, "reason")});
    if (!lacks.empty()) out += "\n" + lacks.text();
    Table moves({{"GOES ON"}, {"TERMINAL"}, {"FROM"}, {"TO"}, {"ON"}, {"ABOUT", Align::right}, {"LOSES"}});
    for (const Json& move : list_of(*rehearsal, "moves")) {
        moves.add({text_of(move, "what"), text_of(move, "terminal"), text_of(move, "from"),
                   member(move, "to_new_machine") == Json(true) ? "a new machine" : text_of(move, "to"), text_of(move, "to_host"),
                   number_of(move, "expected_us") > 0 ? duration_text(number_of(move, "expected_us")) : "", text_of(move, "lost")});
    }
    if (!moves.empty()) out += "\n" + moves.text();
    Table thin({{"FEWER BACKUPS"}, {"TERMINAL"}, {"HAS", Align::right}, {"WANTS", Align::right}, {"WHY"}});
    for (const Json& one : list_of(*rehearsal, "fewer_backups")) {
        thin.add({text_of(one, "what"), text_of(one, "terminal"), text_of(one, "backups"), text_of(one, "wanted"), text_of(one, "reason")});
    }
    if (!thin.empty()) out += "\n" + thin.text();
    if (member(*rehearsal, "complete") == Json(false)) out += "\nIt was cut short: there is more than this.\n";
    return out;
}

Result<std::string> audit_text(std::string_view audit_json) {
    const auto audit = parsed(audit_json);
    if (!audit) return tl::unexpected(audit.error());
    Table acts({{"AT"}, {"WHO"}, {"FOR"}, {"ACT"}, {"WHY"}, {"RESULT"}});
    for (const Json& entry : list_of(*audit, "entries")) {
        std::string act = text_of(entry, "verb");
        for (const Json& argument : list_of(entry, "arguments")) act += " " + text_of(argument);
        const Json& result = member(entry, "result");
        const std::string outcome = result.is_object() ? text_of(result, "result") + ": " + text_of(result, "text") : std::string("not answered");
        acts.add({text_of(entry, "at"), text_of(entry, "who"), text_of(entry, "by"), act, text_of(entry, "reason"), outcome});
    }
    if (acts.empty()) return std::string("Nobody has done anything yet.\n");
    return acts.text() + (member(*audit, "complete") == Json(false) ? "There is more in the manager's state_dir/audit.log.\n" : "");
}

Result<std::string> incident_text(std::string_view incident_json) {
    const auto incident = parsed(incident_json);
    if (!incident) return tl::unexpected(incident.error());
    const bool open = member(*incident, "open") == Json(true);
    std::string out = "Incident " + text_of(*incident, "id") + ": " + printable(text_of(*incident, "title")) + " (" +
                      printable(text_of(*incident, "kind")) + ", " + (open ? "open" : "closed") + ")\nOpened     " +
                      wall_text(number_of(*incident, "opened_wall_ms")) + "\n";
    for (const auto& [label, key] : {std::pair{"Evidence   ", "evidence"}, std::pair{"Proof      ", "proof"},
                                     std::pair{"Decision   ", "decision"}, std::pair{"Lost       ", "lost"}}) {
        const std::string value = text_of(*incident, key);
        if (!value.empty()) out += label + printable(value) + "\n";
    }
    for (const Json& alternative : list_of(*incident, "alternatives")) {
        out += "Weighed    " + printable(text_of(alternative)) + "\n";
    }
    Table phases({{"PHASE"}, {"AT", Align::right}, {"TOOK", Align::right}});
    std::int64_t before_us = 0;
    for (const Json& phase : list_of(*incident, "phases")) {
        const std::int64_t at_us = number_of(phase, "at_us");
        phases.add({text_of(phase, "name"), duration_text(at_us), duration_text(at_us - before_us)});
        before_us = at_us;
    }
    return phases.empty() ? out : out + "\n" + phases.text();
}

}  // namespace understudy::client
