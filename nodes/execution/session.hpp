// One session on this node, whatever the node is for it: runs it, restores it, stands by for it, gives it
// up. Owned by the agent's main thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "nodes/agent/base/lifeline.hpp"
#include "nodes/execution/checkpoint_store.hpp"
#include "nodes/execution/checkpointer.hpp"
#include "nodes/execution/ground.hpp"
#include "nodes/execution/session_run.hpp"
#include "nodes/execution/standby.hpp"

namespace understudy::node {

class Session {
  public:
    /// `folder`: its own, does not exist yet. `on_released`: nothing of it is left; must not destroy this object.
    Session(Ground& ground, SessionId id, std::string folder, std::function<void()> on_released);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Makes it so. Idempotent.
    void perform(const AssignSession& assign);
    /// It is on its way out, and takes no other duty any more.
    [[nodiscard]] bool given_up() const { return given_up_; }
    void freeze();
    void thaw();

    /// Where a window may connect now; nothing while it can't.
    [[nodiscard]] std::optional<std::string> screen_socket() const;
    [[nodiscard]] bool comes_up(Epoch epoch, Epoch presentation_epoch) const;
    /// A primary that brings checkpoints. Errors: `refused` (this is no backup).
    [[nodiscard]] Result<> accept_checkpoints(Descriptor socket, Epoch epoch, std::function<void()> on_gone);

  private:
    void become_primary(const AssignSession& assign);
    void become_backup(const AssignSession& assign);
    void release(const AssignSession& assign);
    void give_up();
    void end_run();
    void end_criu();
    void limit_restore();
    void begin_run();
    void start_afresh();
    void restore(CheckpointId id);
    void restore_into(CheckpointId id, const PreparedTree& tree);
    void note_restored(CheckpointId id, const PreparedTree& tree, Result<int> pid, TimePoint began);
    void note_running();
    void note_restore_failed(CheckpointId id, const std::string& why);
    [[nodiscard]] std::unique_ptr<SessionRun> make_run(const std::string& root);
    [[nodiscard]] std::string new_root();
    [[nodiscard]] Result<std::string> environment() const;
    void report();
    void report(Phase phase, Ending ending, const std::string& detail);
    [[nodiscard]] std::string tag() const;

    Ground& ground_;
    const SessionId id_;
    const std::string folder_;
    std::function<void()> on_released_;
    AssignSession assign_;
    bool assigned_ = false;
    Phase phase_ = Phase::preparing;
    Ending ending_ = Ending::none;
    std::string detail_;
    CheckpointId restored_from_;
    bool frozen_ = false;
    bool given_up_ = false;
    unsigned roots_ = 0;
    unsigned attempt_ = 0;   ///< counts starts and restores: late results of older ones are dropped
    CheckpointStore store_;
    std::unique_ptr<Worker> worker_;
    std::unique_ptr<SessionRun> run_;
    std::unique_ptr<CriuProcess> restoring_;
    Loop::Id restore_timer_ = 0;
    CheckpointId restoring_from_;
    std::unique_ptr<Checkpointer> checkpointer_;
    std::unique_ptr<Standby> standby_;
    // Shared with the worker, which alone touches what it points to while a job with it is queued.
    std::shared_ptr<PreparedTree> tree_;
    Lifeline lifeline_;
};

}  // namespace understudy::node
