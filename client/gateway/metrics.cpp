// See metrics.hpp.
#include "client/gateway/metrics.hpp"

#include <limits>
#include <map>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

const Json& member(const Json& object, const char* key) {
    static const Json kNothing;
    if (!object.is_object()) return kNothing;
    const auto found = object.find(key);
    return found == object.end() ? kNothing : *found;
}

double number_of(const Json& value) {
    if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
    return value.is_number() ? value.get<double>() : 0;
}
double number_of(const Json& object, const char* key) { return number_of(member(object, key)); }

std::string text_of(const Json& object, const char* key) {
    const Json& value = member(object, key);
    return value.is_string() ? value.get<std::string>() : value.is_number() ? value.dump() : std::string();
}

const Json& list_of(const Json& object, const char* key) {
    static const Json kNone = Json::array();
    const Json& value = member(object, key);
    return value.is_array() ? value : kNone;
}

class Families {
public:
    /// Adds a sample; the family is made by its first one.
    void gauge(const std::string& name, const std::string& help, Labels labels, double value) {
        ClientMetric& metric = add(name, help, MetricType::Gauge, std::move(labels));
        metric.gauge.value = value;
    }
    void counter(const std::string& name, const std::string& help, Labels labels, double value) {
        ClientMetric& metric = add(name, help, MetricType::Counter, std::move(labels));
        metric.counter.value = value;
    }
    ClientMetric& add(const std::string& name, const std::string& help, MetricType type, Labels labels) {
        auto [place, added] = index_.try_emplace(name, families_.size());
        if (added) families_.push_back({name, help, type, {}});
        MetricFamily& family = families_[place->second];
        family.metric.emplace_back();
        family.metric.back().label = std::move(labels);
        return family.metric.back();
    }
    [[nodiscard]] std::string text() const {
        std::ostringstream out;
        prometheus::TextSerializer().Serialize(out, families_);
        return out.str();
    }

private:
    std::vector<MetricFamily> families_;
    std::map<std::string, std::size_t> index_;
};

/// How many of a list have each value of `key`.
std::map<std::string, double> tally(const Json& list, const char* key) {
    std::map<std::string, double> counts;
    for (const Json& item : list) ++counts[text_of(item, key)];
    return counts;
}

void add_manager(Families& out, const Json& manager) {
    out.gauge("understudy_manager_info", "Always 1; the version is in the label.", {{"version", text_of(manager, "version")}}, 1);
    out.gauge("understudy_manager_incarnation", "Rises with every start of the manager.", {}, number_of(manager, "incarnation"));
    out.gauge("understudy_manager_start_time_seconds", "When the manager started, Unix time.", {}, number_of(manager, "started_wall_ms") / 1000);
    out.gauge("understudy_store_ok", "1 while the store takes records.", {}, text_of(manager, "store") == "ok");
    const Json& gate = member(manager, "gate");
    out.gauge("understudy_gate_closed", "1 while fail-overs without proof are held because too many nodes fell silent at once.", {}, number_of(gate, "closed"));
    out.gauge("understudy_gate_held_nodes", "Silent nodes that are held by the gate.", {}, number_of(gate, "held"));
    out.gauge("understudy_watched_nodes", "Nodes that should be heard.", {}, number_of(gate, "population"));
    out.gauge("understudy_alarms", "Alarms the console shows.", {}, static_cast<double>(list_of(manager, "alarms").size()));
    out.gauge("understudy_hypervisor_operations", "Operations asked of hypervisors and not answered yet.", {}, number_of(manager, "operations"));
    for (const auto& [kind, count] : member(manager, "oddities").items()) {
        out.counter("understudy_oddities_total", "Messages and answers that made no sense and were ignored.", {{"kind", kind}}, number_of(count));
    }
}

void add_figures(Families& out, const Json& figures) {
    for (const Json& entry : list_of(figures, "failovers")) {
        out.counter("understudy_failovers_total", "Incidents that are over, by kind and how they ended: seen (a picture was seen again), unwatched (nobody sat there), superseded (it failed anew before).",
                    {{"kind", text_of(entry, "kind")}, {"outcome", text_of(entry, "outcome")}}, number_of(entry, "count"));
    }
    for (const Json& entry : list_of(figures, "phases")) {
        ClientMetric& metric = out.add("understudy_phase_duration_seconds", "How long each phase of a fail-over took, from the phase before; \"detected\" is the delay of detection, \"whole\" all of it.",
                                       MetricType::Histogram, {{"kind", text_of(entry, "kind")}, {"phase", text_of(entry, "phase")}});
        const Json& bounds = list_of(entry, "bounds_us");
        const Json& counts = list_of(entry, "counts");
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            sum += static_cast<std::uint64_t>(number_of(counts[i]));
            metric.histogram.bucket.push_back({sum, i < bounds.size() ? number_of(bounds[i]) / 1e6 : std::numeric_limits<double>::infinity()});
        }
        metric.histogram.sample_count = sum;
        metric.histogram.sample_sum = number_of(entry, "sum_us") / 1e6;
    }
}

void add_hosts_and_nodes(Families& out, const Json& view) {
    for (const Json& host : list_of(view, "hosts")) {
        const Labels labels{{"host", text_of(host, "name")}};
        out.gauge("understudy_host_up", "1 while the hypervisor answers and the host is not in maintenance.", labels, text_of(host, "state") == "active");
        out.gauge("understudy_host_vcpus", "Virtual processors the host may give.", labels, number_of(member(host, "capacity"), "vcpus"));
        out.gauge("understudy_host_vcpus_used", "Virtual processors reserved by instances.", labels, number_of(member(host, "used"), "vcpus"));
        out.gauge("understudy_host_memory_bytes", "Memory the host may give.", labels, number_of(member(host, "capacity"), "memory_mib") * 1048576);
        out.gauge("understudy_host_memory_used_bytes", "Memory reserved by instances.", labels, number_of(member(host, "used"), "memory_mib") * 1048576);
    }
    std::map<std::pair<std::string, std::string>, double> nodes;
    for (const Json& node : list_of(view, "nodes")) {
        ++nodes[{text_of(node, "state"), text_of(node, "health")}];
        if (member(node, "heard_ms_ago").is_null()) continue;
        const Labels labels{{"node", text_of(node, "name")}};
        out.gauge("understudy_node_heard_seconds", "Since the node was heard last, the manager's own stalls taken out.", labels, number_of(node, "heard_ms_ago") / 1000);
        out.gauge("understudy_node_lease_seconds", "What is left of the node's lease, drift margin included.", labels, number_of(node, "lease_ms") / 1000);
        out.gauge("understudy_node_load_ratio", "Load of all its processors.", labels, number_of(node, "load_permille") / 1000);
    }
    for (const auto& [key, count] : nodes) {
        out.gauge("understudy_nodes", "Nodes by state and health.", {{"state", key.first}, {"health", key.second}}, count);
    }
}

void add_checkpoints(Families& out, const Json& session, const Labels& labels) {
    const Json* newest = nullptr;
    for (const Json& backup : list_of(session, "backups")) {
        const Json& checkpoint = member(backup, "checkpoint");
        if (!checkpoint.is_object()) continue;
        if (newest == nullptr || number_of(checkpoint, "age_ms") < number_of(*newest, "age_ms")) newest = &checkpoint;
    }
    if (newest == nullptr) return;
    out.gauge("understudy_checkpoint_age_seconds", "Age of the newest checkpoint that a backup holds: what would be lost.", labels, number_of(*newest, "age_ms") / 1000);
    out.gauge("understudy_checkpoint_pause_seconds", "How long the application stood still for it.", labels, number_of(*newest, "pause_ms") / 1000);
    out.gauge("understudy_checkpoint_bytes", "What was transferred for it.", labels, number_of(*newest, "bytes"));
    out.gauge("understudy_checkpoint_interval_seconds", "Interval as adapted to the budget of slow-down.", labels, number_of(session, "interval_ms") / 1000);
}

void add_terminals(Families& out, const Json& view) {
    for (const auto& [state, count] : tally(list_of(view, "terminals"), "state")) {
        out.gauge("understudy_terminals", "Terminals by state.", {{"state", state}}, count);
    }
    for (const Json& terminal : list_of(view, "terminals")) {
        out.gauge("understudy_terminal_epoch", "Epoch of the terminal's presentation; rises with every change of its primary.", {{"terminal", text_of(terminal, "name")}}, number_of(terminal, "epoch"));
    }
    std::map<std::pair<std::string, std::string>, double> protections;
    for (const Json& session : list_of(view, "sessions")) {
        const Labels labels{{"session", text_of(session, "id")}, {"application", text_of(session, "application")}};
        out.gauge("understudy_session_epoch", "Epoch of the session; rises with every change of its primary.", labels, number_of(session, "epoch"));
        const auto& backups = list_of(session, "backups");
        double ready = 0;
        for (const Json& backup : backups) ready += text_of(backup, "phase") == "standby" ? 1 : 0;
        out.gauge("understudy_session_backups_ready", "Backups that could take over at once.", labels, ready);
        const Json& protection = member(session, "protection");
        ++protections[{text_of(protection, "wanted"), text_of(protection, "in_force")}];
        add_checkpoints(out, session, labels);
    }
    for (const auto& [key, count] : protections) {
        out.gauge("understudy_sessions", "Sessions by protection wanted and in force.", {{"wanted", key.first}, {"in_force", key.second}}, count);
    }
}

void add_pools(Families& out, const Json& view) {
    for (const Json& pool : list_of(view, "pools")) {
        const std::string flavour = text_of(pool, "flavour");
        for (const char* state : {"idle", "serving", "creating"}) {
            out.gauge("understudy_pool_instances", "Instances of a pool by state.", {{"flavour", flavour}, {"state", state}}, number_of(pool, state));
        }
        for (const char* limit : {"min_idle", "max_idle", "max_total"}) {
            out.gauge("understudy_pool_target", "What the pool is told to keep.", {{"flavour", flavour}, {"limit", limit}}, number_of(pool, limit));
        }
        out.gauge("understudy_pool_paused", "1 while creating rests because it keeps failing.", {{"flavour", flavour}}, number_of(pool, "paused"));
        out.gauge("understudy_pool_making_seconds", "Smoothed time from asking for an instance until it registers; 0: not seen yet.", {{"flavour", flavour}}, number_of(pool, "making_ms") / 1000);
    }
    double open = 0;
    for (const Json& incident : list_of(view, "incidents")) open += number_of(incident, "open");
    out.gauge("understudy_incidents_open", "Incidents that are not over, among the newest.", {}, open);
}

}  // namespace

std::string metrics_text(std::string_view text, const GatewayFigures& gateway) {
    Families out;
    out.gauge("understudy_gateway_manager_connected", "1 while this gateway is connected to the manager.", {}, gateway.connected);
    out.gauge("understudy_gateway_connections", "Connections of browsers to this gateway.", {}, static_cast<double>(gateway.connections));
    out.gauge("understudy_gateway_terminals", "Terminals attached through this gateway.", {}, static_cast<double>(gateway.rooms));
    if (gateway.view_age_ms >= 0) {
        out.gauge("understudy_view_age_seconds", "Age of the manager's view that the other figures are from.", {}, static_cast<double>(gateway.view_age_ms) / 1000);
    }
    const Json view = Json::parse(text, nullptr, false);
    if (view.is_object()) {
        add_manager(out, member(view, "manager"));
        add_figures(out, member(view, "figures"));
        add_hosts_and_nodes(out, view);
        add_terminals(out, view);
        add_pools(out, view);
    }
    return out.text();
}

}  // namespace understudy::gateway
