// All sessions of this node. Owned by the agent's main thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "nodes/execution/ground.hpp"
#include "nodes/execution/session.hpp"

namespace understudy::node {

class Sessions {
  public:
    /// Removes what an earlier agent left on the disk. Precondition: none of its processes is left
    /// (clear_leftover_groups()).
    Sessions(Loop& loop, ExecutionSettings settings, SessionServices services);
    ~Sessions();
    Sessions(const Sessions&) = delete;
    Sessions& operator=(const Sessions&) = delete;

    void perform(const AssignSession& assign);
    void freeze(SessionId session);
    void thaw(SessionId session);
    [[nodiscard]] std::optional<std::string> screen_socket(SessionId session) const;
    /// It is being started or restored under this epoch, and will take windows of that presentation epoch.
    [[nodiscard]] bool comes_up(SessionId session, Epoch epoch, Epoch presentation_epoch) const;
    [[nodiscard]] Result<> accept_checkpoints(SessionId session, Descriptor socket, Epoch epoch, std::function<void()> on_gone);

  private:
    Ground ground_;
    std::uint64_t folders_ = 0;  ///< numbers folders, so that a new life never meets the remains of an old one
    std::map<SessionId, std::unique_ptr<Session>> sessions_;
};

}  // namespace understudy::node
