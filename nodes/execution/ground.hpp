// What all sessions of an agent stand on. Owned by the agent's main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/base/process.hpp"
#include "nodes/agent/base/worker.hpp"
#include "protocol/messages.hpp"

namespace understudy::node {

struct ExecutionSettings {
    std::string sessions_folder = "/var/lib/understudy/sessions";
    std::string environments_folder = "/var/lib/understudy/environments";
    std::string programs_folder = "/opt/understudy";
    std::string cgroup_root = "/sys/fs/cgroup";
    Account account;
    std::string geometry = "1024x768";
    double pause_budget = 0.1;      ///< share of the time an application may stand still for checkpoints
    std::string loopback_alias;
    bool can_checkpoint = false;
    std::string checkpoint_reason;  ///< why not
};

/// What the rest of the agent does for sessions.
struct SessionServices {
    std::function<void(SessionStatus)> report;                        ///< something about a session changed
    std::function<std::vector<int>(SessionId)> window_connections;    ///< our ends of its X server's sockets
    std::function<void(SessionId)> windows_may_connect;               ///< a time without new connections is over
    std::function<void(const std::string& level, const std::string& words)> log;
};

struct Ground {
    Loop& loop;
    ExecutionSettings settings;
    SessionServices services;
    Worker cleaner{};  ///< takes apart what is over, so that nobody waits for it

    void log(const std::string& words) const { services.log("info", words); }
    void warn(const std::string& words) const { services.log("warning", words); }

    /// Destroys something whose destructor may block, elsewhere.
    template <class T>
    void dispose(T&& thing) {
        // Shared only because a job has to be copyable.
        auto kept = std::make_shared<std::decay_t<T>>(std::forward<T>(thing));
        cleaner.run([kept]() mutable { kept.reset(); });
    }
};

}  // namespace understudy::node
