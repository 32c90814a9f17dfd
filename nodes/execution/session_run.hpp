// One life of a session's processes on this node: from start (or restore) to end. Its end is noticed
// through a pidfd, so it is known within a moment. Owned by the agent's main thread.
#pragma once

#include <functional>
#include <string>

#include "nodes/agent/base/cgroup.hpp"
#include "nodes/agent/base/lifeline.hpp"
#include "nodes/execution/ground.hpp"

namespace understudy::node {

class SessionRun {
  public:
    struct Listener {
        std::function<void()> on_running;
        std::function<void(const std::string&)> on_failed;         ///< never ran; nothing runs
        std::function<void(Ending, const std::string&)> on_ended;  ///< ran; nothing runs any more
    };

    /// `name`: of its control group; `root`: its tree.
    SessionRun(Ground& ground, std::string name, std::string root, Listener listener);
    /// Ends whatever still runs (without waiting for it).
    ~SessionRun();
    SessionRun(const SessionRun&) = delete;
    SessionRun& operator=(const SessionRun&) = delete;

    /// Starts afresh. Precondition: the tree is made. Errors: `failed`, `not_found`.
    [[nodiscard]] Result<> start(SessionId session, const Application& application, const std::string& environment);

    /// Makes the control group without starting anything; for a restore.
    [[nodiscard]] Result<int> make_group();
    /// Takes over processes restored into the group. Errors: `failed` (they are gone already).
    [[nodiscard]] Result<> adopt(int pid);

    void freeze() { group_.freeze(); }
    void thaw() { group_.thaw(); }
    [[nodiscard]] int pid() const { return child_.pid; }
    [[nodiscard]] const std::string& root() const { return root_; }
    /// Where the X server of the session takes windows.
    [[nodiscard]] std::string screen_socket() const { return root_ + "/run/understudy/rfb"; }

  private:
    void watch_process();
    void watch_status();
    void watch_word();
    void note_end();
    void note_word();
    void over(Ending ending, const std::string& otherwise);

    Ground& ground_;
    const std::string name_;
    const std::string root_;
    Listener listener_;
    Cgroup group_;
    Child child_;
    Descriptor status_;       ///< what the first process says while it starts
    std::string status_text_;
    Descriptor word_;         ///< tells when the first process writes down how the session ended
    Loop::Id word_watch_ = 0;
    Loop::Id process_watch_ = 0;
    Loop::Id status_watch_ = 0;
    bool runs_ = false;
    Lifeline lifeline_;
};

}  // namespace understudy::node
