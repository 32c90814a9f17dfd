// What is worth telling somebody who does not look: read from one view after the other. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::client {

/// One thing to tell. `body` is JSON as client/gateway/pages/notification.schema.json describes it.
struct Notice {
    std::string event;  ///< "incident-opened", "incident-closed", "alarm", "gate-closed", "gate-opened", "store-failing", "store-ok"
    std::string subject;  ///< the incident's number, or empty
    std::string body;
};

class Notices {
public:
    /// `last_incident`: the highest number told of before this start; what is newer and already over is told of,
    /// too. None: only what is open now, and what comes. `site`: goes into every body.
    explicit Notices(std::string site, std::optional<std::uint64_t> last_incident = {})
        : site_(std::move(site)), last_incident_(last_incident.value_or(0)), told_before_(last_incident.has_value()) {}

    /// What is new in this view, oldest first. Errors: `damaged` (not a JSON object).
    [[nodiscard]] Result<std::vector<Notice>> take(const std::string& view_json, std::int64_t now_wall_ms);

    [[nodiscard]] std::uint64_t last_incident() const { return last_incident_; }

private:
    std::string site_;
    std::uint64_t last_incident_;
    bool told_before_;
    bool first_ = true;
    std::set<std::uint64_t> open_;
    std::set<std::string> alarms_;
    bool gate_closed_ = false;
    bool store_ok_ = true;
};

}  // namespace understudy::client
