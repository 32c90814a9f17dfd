// The manager's view in Prometheus' text format. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::gateway {

/// What the gateway knows besides the view.
struct GatewayFigures {
    bool connected = false;          ///< to the manager
    std::int64_t view_age_ms = -1;   ///< of the view shown; negative: there is none
    std::size_t connections = 0;     ///< of browsers
    std::size_t rooms = 0;           ///< terminals attached through this gateway
};

/// Every figure has a help text and keeps its name: dashboards depend on them (config/grafana-dashboard.json).
/// `view` may be empty or damaged: then only the gateway's own figures are there.
[[nodiscard]] std::string metrics_text(std::string_view view, const GatewayFigures& gateway);

}  // namespace understudy::gateway
