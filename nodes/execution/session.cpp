// See session.hpp.
#include "nodes/execution/session.hpp"

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "nodes/execution/session_tree.hpp"

namespace understudy::node {
namespace {

/// Many times what the largest session took on a busy machine; a restore that hangs must not keep the
/// session from being taken over in another way.
constexpr Duration kRestoreLimit = std::chrono::seconds(20);

}  // namespace

Session::Session(Ground& ground, SessionId id, std::string folder, std::function<void()> on_released)
    : ground_(ground), id_(id), folder_(std::move(folder)), on_released_(std::move(on_released)), store_(folder_ + "/checkpoints"),
      worker_(std::make_unique<Worker>()) {
    std::error_code wrong;
    std::filesystem::create_directories(folder_ + "/checkpoints", wrong);
    ::chmod(folder_.c_str(), 0700);
}

Session::~Session() {
    end_run();
    standby_.reset();
    // The worker may be busy with these files; it ends first, then they go.
    ground_.dispose(std::move(worker_));
    ground_.cleaner.run([folder = folder_] { remove_tree(folder); });
}

std::string Session::tag() const {
    return "session=" + to_string(id_) + " epoch=" + std::to_string(assign_.epoch) + (assign_.incident ? " incident=" + to_string(assign_.incident) : "");
}

std::string Session::new_root() { return folder_ + "/root-" + std::to_string(++roots_); }

void Session::perform(const AssignSession& assign) {
    if (given_up_) {
        assign_ = assign;  // what is reported at the end answers the newest word
        return;
    }
    switch (assign.duty) {
        case Duty::primary: become_primary(assign); return;
        case Duty::backup: become_backup(assign); return;
        case Duty::released: release(assign); return;
    }
}

void Session::become_primary(const AssignSession& assign) {
    const bool same = assigned_ && assign_.duty == Duty::primary && assign_.epoch == assign.epoch;
    assign_ = assign;
    assigned_ = true;
    if (same) {
        if (checkpointer_) checkpointer_->set_peers(assign.peers);
        report();
        return;
    }
    end_run();
    phase_ = Phase::preparing;
    ending_ = Ending::none;
    detail_.clear();
    restored_from_ = {};
    frozen_ = false;
    if (standby_) {
        tree_ = standby_->tree();
        standby_.reset();
    }
    const auto attempt = attempt_;
    std::function<void()> begin = lifeline_.bind([this, attempt] {
        if (attempt == attempt_) begin_run();
    });
    ground_.environments.when_there(assign.application.environment, begin);
}

void Session::begin_run() {
    if (assign_.restore == CheckpointId{}) {
        start_afresh();
        return;
    }
    // One that came in after the manager decided is newer by what the person did since.
    const auto* newest = store_.newest();
    const bool newer = newest != nullptr && newest->info.id.epoch == assign_.restore.epoch && newest->info.id > assign_.restore &&
                       !store_.chain(newest->info.id).empty();
    restore(newer ? newest->info.id : assign_.restore);
}

void Session::become_backup(const AssignSession& assign) {
    const bool other_primary = assigned_ && assign_.epoch != assign.epoch;
    if (run_ || restoring_ || (assigned_ && assign_.duty == Duty::primary)) {
        end_run();
        tree_.reset();
    }
    assign_ = assign;
    assigned_ = true;
    restored_from_ = {};
    if (standby_ && other_primary) standby_->stop();
    if (!standby_) {
        standby_ = std::make_unique<Standby>(ground_, id_, store_, *worker_, new_root(), [this] { report(); });
    }
    report(Phase::standby, Ending::none, "");
}

void Session::release(const AssignSession& assign) {
    const bool deliver = !assign.peers.empty() && checkpointer_ && phase_ == Phase::running;
    if (!deliver) {
        assign_ = assign;
        assigned_ = true;
        give_up();
        return;
    }
    checkpointer_->set_peers(assign.peers);
    assign_ = assign;
    checkpointer_->finish([this](const std::string& problem) {
        if (!problem.empty()) ground_.warn(tag() + " given up: " + problem);
        detail_ = problem;
        // Not from inside the checkpointer, which goes away here.
        ground_.loop.post(lifeline_.bind([this] { give_up(); }));
    });
}

void Session::give_up() {
    given_up_ = true;
    const std::string detail = detail_;
    end_run();
    standby_.reset();
    store_ = CheckpointStore(folder_ + "/checkpoints");
    // Reported when the processes are really gone: that is what the word promises.
    std::function<void()> gone = lifeline_.bind([this, detail] {
        report(Phase::released, Ending::none, detail);
        ground_.log(tag() + " released");
        on_released_();
    });
    ground_.cleaner.run([&loop = ground_.loop, gone] { loop.post(gone); });
}

void Session::end_run() {
    ++attempt_;
    if (restore_timer_ != 0) ground_.loop.cancel(std::exchange(restore_timer_, 0));
    checkpointer_.reset();
    end_criu();
    run_.reset();
    ground_.restore_turns.done(this);
}

/// Its end can take the kernel long; the worker waits for it.
void Session::end_criu() {
    if (!restoring_) return;
    restoring_->cut();
    // Shared only because a job has to be copyable.
    worker_->run([criu = std::shared_ptr<CriuProcess>(std::move(restoring_))] {});
}

Result<std::string> Session::environment() const {
    const auto& name = assign_.application.environment;
    if (name.empty()) return std::string();
    const std::string folder = ground_.settings.environments_folder + "/" + name;
    struct stat info{};
    if (name.find('/') != std::string::npos || ::stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
        return failure(ErrorCode::not_found, "the environment '" + name + "' is not deployed on this node (looked for " + folder + ")");
    }
    return folder;
}

std::unique_ptr<SessionRun> Session::make_run(const std::string& root) {
    SessionRun::Listener listener;
    listener.on_running = [this] { note_running(); };
    listener.on_failed = [this](const std::string& why) {
        ground_.warn(tag() + " could not be started: " + why);
        end_run();
        report(Phase::failed, Ending::none, why);
    };
    listener.on_ended = [this](Ending ending, const std::string& how) {
        // Said first: everything else can wait.
        report(Phase::ended, ending, how);
        ground_.log(tag() + " ended: " + how);
        end_run();
    };
    const std::string name = "session-" + to_string(id_) + "-" + std::filesystem::path(folder_).filename().string() + "-" + std::filesystem::path(root).filename().string();
    return std::make_unique<SessionRun>(ground_, name, root, std::move(listener));
}

// ---------------------------------------------------------------------------- starting

void Session::start_afresh() {
    const auto environment_folder = environment();
    if (!environment_folder) {
        report(Phase::failed, Ending::none, environment_folder.error().message);
        return;
    }
    report(Phase::preparing, Ending::none, "");
    const std::string root = new_root();
    const auto attempt = attempt_;
    std::function<void(Result<>)> made = lifeline_.bind([this, attempt, root, environment = *environment_folder](Result<> outcome) {
        if (attempt != attempt_) return;
        if (outcome) {
            run_ = make_run(root);
            outcome = run_->start(id_, assign_.application, environment);
        }
        if (outcome) return;
        end_run();
        report(Phase::failed, Ending::none, outcome.error().message);
    });
    worker_->run([&loop = ground_.loop, root, account = ground_.settings.account, init = ground_.settings.programs_folder + "/bin/understudy-session-init", made] {
        auto outcome = make_session_tree(root, account, init);
        loop.post([made, outcome = std::move(outcome)]() mutable { made(std::move(outcome)); });
    });
}

void Session::note_running() {
    report(Phase::running, Ending::none, detail_);
    ground_.log(tag() + " runs " + assign_.application.name + (restored_from_ == CheckpointId{} ? "" : " restored from " + folder_of(restored_from_)));
    checkpointer_ = std::make_unique<Checkpointer>(ground_, assign_, store_, *run_, *worker_, [this] { report(); });
    checkpointer_->set_frozen(frozen_);
    // Windows first: the first checkpoint would keep them out while it is taken.
    ground_.services.windows_may_connect(id_);
    checkpointer_->set_peers(assign_.peers);
    report();
}

// ---------------------------------------------------------------------------- restoring

void Session::restore(CheckpointId id) {
    auto chain = store_.chain(id);
    if (chain.empty()) {
        note_restore_failed(id, "this node does not hold checkpoint " + folder_of(id));
        return;
    }
    if (!tree_) tree_ = std::make_shared<PreparedTree>(PreparedTree{new_root(), {}});
    const auto attempt = attempt_;
    std::function<void(Result<PreparedTree>)> ready = lifeline_.bind([this, attempt, id](Result<PreparedTree> tree) {
        if (attempt != attempt_) return;
        if (tree) ground_.restore_turns.wait(this, [this, id, prepared = *tree] { restore_into(id, prepared); });
        else note_restore_failed(id, tree.error().message);
    });
    // Behind whatever is still being unpacked; usually there is nothing left to do.
    worker_->run([&loop = ground_.loop, tree = tree_, chain = std::move(chain), folder = store_.folder(), ready] {
        auto prepared = prepare_tree(*tree, chain, folder);
        loop.post([ready, prepared = std::move(prepared)]() mutable { ready(std::move(prepared)); });
    });
}

void Session::restore_into(CheckpointId id, const PreparedTree& tree) {
    const auto began = ground_.loop.now();
    const auto* meta = store_.find(id);
    const auto environment_folder = environment();
    run_ = make_run(tree.root);
    auto group = run_->make_group();
    Result<std::unique_ptr<CriuProcess>> criu;
    if (!environment_folder) criu = tl::unexpected(environment_folder.error());
    else if (!group) criu = tl::unexpected(group.error());
    else criu = CriuProcess::start_for_restore(ground_.settings.programs_folder, tree.root, *group, meta->outer_sockets.size());
    if (!criu) {
        note_restore_failed(id, criu.error().message);
        return;
    }
    restoring_ = std::move(*criu);
    restoring_from_ = id;
    limit_restore();
    RestoreTask task{restoring_->socket(), *meta, store_.folder(), tree, *environment_folder};
    const auto attempt = attempt_;
    std::function<void(Result<int>)> restored = lifeline_.bind([this, attempt, id, tree, began](Result<int> pid) {
        if (attempt == attempt_) note_restored(id, tree, std::move(pid), began);
    });
    worker_->run([&loop = ground_.loop, task = std::move(task), restored] {
        auto pid = restore_session(task);
        loop.post([restored, pid = std::move(pid)]() mutable { restored(std::move(pid)); });
    });
}

void Session::limit_restore() {
    restore_timer_ = ground_.loop.after(kRestoreLimit, [this] {
        restore_timer_ = 0;
        note_restore_failed(restoring_from_, "it was not done within " + std::to_string(to_ms(kRestoreLimit) / 1000) + " s");
    });
}

void Session::note_restored(CheckpointId id, const PreparedTree&, Result<int> pid, TimePoint began) {
    if (restore_timer_ != 0) ground_.loop.cancel(std::exchange(restore_timer_, 0));
    end_criu();
    // Behind that end: the next restore finds nothing of this one.
    std::function<void()> turn_over = lifeline_.bind([this] { ground_.restore_turns.done(this); });
    worker_->run([&loop = ground_.loop, turn_over] { loop.post(turn_over); });
    tree_.reset();  // in use from now on, or spoilt
    Result<> adopted;
    if (pid) adopted = run_->adopt(*pid);
    else adopted = tl::unexpected(pid.error());
    if (!adopted) {
        note_restore_failed(id, adopted.error().message);
        return;
    }
    restored_from_ = id;
    ground_.log(tag() + " restored from " + folder_of(id) + " in_ms=" + std::to_string(to_ms(ground_.loop.now() - began)));
    note_running();
}

void Session::note_restore_failed(CheckpointId id, const std::string& why) {
    ground_.warn(tag() + " could not be restored from " + folder_of(id) + ": " + why);
    end_run();
    tree_.reset();
    detail_ += (detail_.empty() ? "" : "; ") + ("checkpoint " + folder_of(id) + ": " + why);
    // The one before may be sound; what it loses more shows in restored_from.
    const auto held = store_.held();
    for (auto older = held.rbegin(); older != held.rend(); ++older) {
        if (older->id >= id) continue;
        restore(older->id);
        return;
    }
    report(Phase::failed, Ending::none, "it could not be restored: " + detail_);
}

// ---------------------------------------------------------------------------- the rest

void Session::freeze() {
    frozen_ = true;
    // What stands still does not get ready, and is no failure: the only checkpoint must not be taken for a bad one.
    if (restore_timer_ != 0) ground_.loop.cancel(std::exchange(restore_timer_, 0));
    if (checkpointer_) checkpointer_->set_frozen(true);
    else if (run_) run_->freeze();
}

void Session::thaw() {
    frozen_ = false;
    if (restoring_ && restore_timer_ == 0) limit_restore();
    if (checkpointer_) checkpointer_->set_frozen(false);
    else if (run_) run_->thaw();
}

std::optional<std::string> Session::screen_socket() const {
    if (!run_ || phase_ != Phase::running || frozen_ || (checkpointer_ && checkpointer_->holds_connections())) return {};
    return run_->screen_socket();
}

bool Session::comes_up(Epoch epoch, Epoch presentation_epoch) const {
    return assigned_ && !given_up_ && !frozen_ && assign_.duty == Duty::primary && assign_.epoch == epoch && phase_ == Phase::preparing &&
           presentation_epoch >= assign_.presentation_epoch;
}

Result<> Session::accept_checkpoints(Descriptor socket, Epoch epoch, std::function<void()> on_gone) {
    if (!standby_) return failure(ErrorCode::refused, "this node is no backup of session " + to_string(id_));
    standby_->accept(std::move(socket), epoch, std::move(on_gone));
    return {};
}

void Session::report(Phase phase, Ending ending, const std::string& detail) {
    phase_ = phase;
    ending_ = ending;
    detail_ = detail;
    report();
}

void Session::report() {
    SessionStatus status;
    status.session = id_;
    status.epoch = assign_.epoch;
    status.revision = assign_.revision;
    status.duty = assign_.duty;
    status.phase = phase_;
    status.ending = ending_;
    status.detail = detail_;
    status.restored_from = restored_from_;
    status.checkpoints = store_.held();
    if (checkpointer_) checkpointer_->fill(status);
    if (standby_) status.in_force = store_.newest() == nullptr ? Protection::restart : Protection::checkpoint;
    ground_.services.report(std::move(status));
}

}  // namespace understudy::node
