// Takes checkpoints of one running session and brings them to its backups. Decides when, and whether what
// it reports is true: `checkpoint` is in force only while a backup holds one of this epoch.
// Owned by the agent's main thread; dumps run on the session's worker, transfers on a thread per backup.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "nodes/agent/base/lifeline.hpp"
#include "nodes/execution/checkpoint_sender.hpp"
#include "nodes/execution/checkpoint_store.hpp"
#include "nodes/execution/criu_jobs.hpp"
#include "nodes/execution/criu_process.hpp"
#include "nodes/execution/ground.hpp"
#include "nodes/execution/pace.hpp"
#include "nodes/execution/session_run.hpp"

namespace understudy::node {

class Checkpointer {
  public:
    /// Everything referred to outlives the checkpointer; `worker` is used for nothing else meanwhile.
    /// `on_changed`: what fill() says has changed.
    Checkpointer(Ground& ground, const AssignSession& assign, CheckpointStore& store, SessionRun& run, Worker& worker,
                 std::function<void()> on_changed);
    ~Checkpointer();
    Checkpointer(const Checkpointer&) = delete;
    Checkpointer& operator=(const Checkpointer&) = delete;

    /// The backups and their tickets may change at any time.
    void set_peers(const std::vector<Peer>& peers);
    /// While true, nobody may open new connections into the session.
    [[nodiscard]] bool holds_connections() const { return stopped_for_dump_; }
    /// Freezes or thaws the session; no checkpoints while it is frozen. In the middle of a dump it stands
    /// still already, and criu could not let go of a frozen process: it is then frozen when it is let go.
    void set_frozen(bool frozen);
    /// Takes one last checkpoint, stops the session and brings it to all backups; then calls `done` with
    /// what went wrong (empty: nothing). Gives up after a time limit.
    void finish(std::function<void(std::string)> done);
    /// in_force, protection_reason, checkpoints, interval_ms, void_ticket.
    void fill(SessionStatus& status) const;

  private:
    struct Backup {
        std::unique_ptr<CheckpointSender> sender;
        CheckpointId stored;
        std::string trouble;
        std::uint64_t void_ticket = 0;  ///< serial of a ticket that its door takes no more
    };

    void schedule(Duration delay);
    void begin();
    void begin_dump(std::vector<std::uint64_t> outer_sockets);
    void end_criu();
    void note_resumed();
    void note_made(Result<DumpOutcome> outcome, Duration work);
    void note_failure(const std::string& reason);
    void offer_newest();
    void note_stored(NodeId node, CheckpointId id, Duration transfer);
    void tidy();
    void check_finished();
    [[nodiscard]] bool wanted() const;
    [[nodiscard]] bool protected_now() const;

    Ground& ground_;
    const AssignSession assign_;
    CheckpointStore& store_;
    SessionRun& run_;
    Worker& worker_;
    std::function<void()> on_changed_;
    std::map<NodeId, Backup> backups_;
    Pace pace_;
    const TimePoint started_;
    TreeMarks marks_;
    CheckpointId last_;                ///< {0,0}: the next one is complete
    std::uint64_t sequence_ = 0;
    unsigned chain_links_ = 0;
    bool dumping_ = false;
    bool stopped_for_dump_ = false;
    bool frozen_ = false;
    std::string failure_;              ///< why the last attempt failed; empty: it did not
    unsigned failures_ = 0;
    TimePoint began_{};
    Loop::Id timer_ = 0;
    unsigned connection_waits_ = 0;
    unsigned dead_waits_ = 0;
    std::unique_ptr<CriuProcess> criu_;
    std::function<void(std::string)> finished_;
    Loop::Id finish_timer_ = 0;
    bool last_taken_ = false;
    Lifeline lifeline_;
};

}  // namespace understudy::node
