// See notices.hpp.
#include "client/command/notices.hpp"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

namespace understudy::client {
namespace {

using OrderedJson = nlohmann::ordered_json;

template <class Value>
Value value_of(const OrderedJson& object, const char* key, Value fallback) {
    if (!object.is_object()) return fallback;
    const auto found = object.find(key);
    if (found == object.end()) return fallback;
    try {
        return found->get<Value>();
    } catch (const nlohmann::json::exception&) {
        return fallback;  // of another type: a newer or older manager
    }
}

OrderedJson list_of(const OrderedJson& view, const char* key) {
    const auto found = view.find(key);
    return found != view.end() && found->is_array() ? *found : OrderedJson::array();
}

struct Writer {
    const std::string& site;
    std::int64_t now_wall_ms;
    std::vector<Notice> notices;

    void add(const std::string& event, const std::string& text, const std::string& subject = {}, const OrderedJson& incident = nullptr) {
        OrderedJson body{{"event", event}, {"text", text}, {"site", site}, {"sent_wall_ms", now_wall_ms}};
        if (!incident.is_null()) body["incident"] = incident;
        notices.push_back({event, subject, body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)});
    }
};

std::string told(const OrderedJson& incident) {
    std::string text = value_of<std::string>(incident, "title", "");
    const std::string lost = value_of<std::string>(incident, "lost", "");
    return lost.empty() ? text : text + "; lost: " + lost;
}

}  // namespace

Result<std::vector<Notice>> Notices::take(const std::string& view_json, std::int64_t now_wall_ms) {
    const OrderedJson view = OrderedJson::parse(view_json, nullptr, false);
    if (!view.is_object()) return failure(ErrorCode::damaged, "the manager's view is not a JSON object; is it of another version?");
    Writer out{site_, now_wall_ms, {}};
    OrderedJson incidents = list_of(view, "incidents");
    std::sort(incidents.begin(), incidents.end(), [](const OrderedJson& a, const OrderedJson& b) { return value_of<std::uint64_t>(a, "id", 0) < value_of<std::uint64_t>(b, "id", 0); });
    const bool silent_about_the_past = first_ && !told_before_;
    for (const OrderedJson& incident : incidents) {
        const auto id = value_of<std::uint64_t>(incident, "id", 0);
        const bool open = value_of(incident, "open", false);
        const bool fresh = id > last_incident_ && (open || !silent_about_the_past);
        const bool known = open_.contains(id);
        if (open && !known) {
            if (fresh || first_) out.add("incident-opened", told(incident), std::to_string(id), incident);
            open_.insert(id);
        } else if (!open && (known || fresh)) {
            if (!known) out.add("incident-opened", told(incident), std::to_string(id), incident);
            out.add("incident-closed", told(incident), std::to_string(id), incident);
            open_.erase(id);
        }
        last_incident_ = std::max(last_incident_, id);
    }
    const OrderedJson manager = view.value("manager", OrderedJson::object());
    const OrderedJson gate = manager.is_object() ? manager.value("gate", OrderedJson::object()) : OrderedJson::object();
    const bool closed = value_of(gate, "closed", false);
    if (closed != gate_closed_) out.add(closed ? "gate-closed" : "gate-opened", closed ? value_of<std::string>(gate, "reason", "") : "fail-overs go on without being held");
    gate_closed_ = closed;
    const std::string store = value_of<std::string>(manager, "store", "ok");
    if ((store == "ok") != store_ok_) out.add(store == "ok" ? "store-ok" : "store-failing", store);
    store_ok_ = store == "ok";
    std::set<std::string> alarms;
    if (manager.is_object()) {
        for (const OrderedJson& alarm : list_of(manager, "alarms")) {
            if (!alarm.is_string()) continue;
            const std::string text = alarm.get<std::string>();
            if (!alarms_.contains(text)) out.add("alarm", text);
            alarms.insert(text);
        }
    }
    alarms_ = std::move(alarms);
    first_ = false;
    return std::move(out.notices);
}

}  // namespace understudy::client
