// What desktops of a node share. Plain values; the agent's main thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nodes/agent/base/process.hpp"
#include "protocol/messages.hpp"

namespace understudy::node {

struct PresentationSettings {
    std::string run_folder = "/run/understudy";        ///< sockets of desktops go below
    std::string programs_folder = "/opt/understudy";
    std::string cgroup_root = "/sys/fs/cgroup";
    Account account;                                   ///< desktops and windows run as this
    std::string loopback_alias;
};

/// What the rest of the agent does for desktops.
struct DesktopServices {
    std::function<void(DesktopStatus)> report;
    std::function<void(TerminalId, std::vector<WindowPlace>)> layout_changed;
    std::function<void(const std::string& level, const std::string& words)> log;
};

}  // namespace understudy::node
