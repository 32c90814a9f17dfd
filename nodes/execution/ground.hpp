// What all sessions of an agent stand on. Owned by the agent's main thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/base/process.hpp"
#include "nodes/agent/base/worker.hpp"
#include "nodes/execution/environments.hpp"
#include "protocol/messages.hpp"
#include "streams/pump.hpp"

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
    streams::Pump* pump = nullptr;  ///< for streams to the doors of others; the agent's, never nothing in an agent
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

/// One at a time: criu names the sockets of a restore after process numbers inside the session, which are
/// the same in every session, and all sessions share the guest's socket names.
class RestoreTurns {
  public:
    /// Runs `begin` now or when its turn comes. `who` must be given back with done() once, whether it
    /// began or not.
    void wait(const void* who, std::function<void()> begin) {
        waiting_.push_back({who, std::move(begin)});
        go_on();
    }

    /// Without effect for somebody who does not wait.
    void done(const void* who) {
        std::erase_if(waiting_, [who](const Turn& turn) { return turn.who == who; });
        if (present_ != who) return;
        present_ = nullptr;
        go_on();
    }

  private:
    struct Turn {
        const void* who;
        std::function<void()> begin;
    };

    void go_on() {
        if (present_ != nullptr || waiting_.empty()) return;
        Turn turn = std::move(waiting_.front());
        waiting_.pop_front();
        present_ = turn.who;
        turn.begin();
    }

    std::deque<Turn> waiting_;
    const void* present_ = nullptr;
};

struct Ground {
    Loop& loop;
    ExecutionSettings settings;
    SessionServices services;
    Worker cleaner{Worker::kAside};  ///< takes apart what is over, so that nobody waits for it
    RestoreTurns restore_turns{};
    Environments environments{loop, settings.environments_folder, services.log};

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
