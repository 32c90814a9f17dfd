// See checkpointer.hpp.
#include "nodes/execution/checkpointer.hpp"

#include <algorithm>
#include <chrono>

#include "nodes/agent/base/tcp.hpp"
#include "nodes/execution/dead_children.hpp"
#include "nodes/execution/peer_inode.hpp"
#include "nodes/execution/session_tree.hpp"

namespace understudy::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kChainLinks = 12;          // a longer chain restores slower and keeps more on the disk
constexpr Duration kFirstPicture = milliseconds(1000);
constexpr Duration kFirstRetry = seconds(3);
constexpr Duration kLongestRetry = seconds(600);
constexpr Duration kConnectionWait = milliseconds(10);
constexpr unsigned kConnectionWaits = 50;
constexpr Duration kAfterCut = milliseconds(200);
constexpr Duration kFirstWindow = seconds(5);
constexpr Duration kDeadWait = milliseconds(50);
constexpr unsigned kDeadWaits = 40;  // some programs never ask
constexpr Duration kFinishLimit = seconds(30);

std::int64_t wall_ms() {
    return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Checkpointer::Checkpointer(Ground& ground, const AssignSession& assign, CheckpointStore& store, SessionRun& run, Worker& worker,
                           std::function<void()> on_changed)
    : ground_(ground), assign_(assign), store_(store), run_(run), worker_(worker), on_changed_(std::move(on_changed)), pace_(ground.settings.pause_budget), started_(ground.loop.now()) {
    if (!ground_.settings.can_checkpoint) failure_ = ground_.settings.checkpoint_reason;
}

Checkpointer::~Checkpointer() {
    if (timer_ != 0) ground_.loop.cancel(timer_);
    if (finish_timer_ != 0) ground_.loop.cancel(finish_timer_);
    // Senders and the worker wait for threads; a killed criu lets its job come back.
    end_criu();
    for (auto& [node, backup] : backups_) ground_.dispose(std::move(backup.sender));
}

/// Its end can take the kernel long; the worker waits for it.
void Checkpointer::end_criu() {
    if (!criu_) return;
    criu_->cut();
    // Shared only because a job has to be copyable.
    worker_.run([criu = std::shared_ptr<CriuProcess>(std::move(criu_))] {});
}

bool Checkpointer::wanted() const {
    return assign_.protection == Protection::checkpoint && ground_.settings.can_checkpoint && !backups_.empty();
}

void Checkpointer::set_peers(const std::vector<Peer>& peers) {
    for (auto entry = backups_.begin(); entry != backups_.end();) {
        const auto peer = std::find_if(peers.begin(), peers.end(), [&](const Peer& one) { return one.node == entry->first; });
        const bool same = peer != peers.end() && peer->ticket.claims.epoch == entry->second.sender->epoch() &&
                          as_seen_here(peer->endpoint, ground_.settings.loopback_alias) == entry->second.sender->endpoint();
        if (same) {
            entry->second.sender->set_ticket(peer->ticket);
            if (peer->ticket.claims.serial > entry->second.void_ticket) entry->second.void_ticket = 0;
        } else ground_.dispose(std::move(entry->second.sender));
        entry = same ? std::next(entry) : backups_.erase(entry);
    }
    for (const auto& peer : peers) {
        if (backups_.contains(peer.node) || peer.endpoint.port == 0) continue;
        const NodeId node = peer.node;
        std::function<void(CheckpointId, Duration)> stored = lifeline_.bind([this, node](CheckpointId id, Duration transfer) { note_stored(node, id, transfer); });
        std::function<void(const std::string&)> trouble = lifeline_.bind([this, node](const std::string& words) {
            const auto found = backups_.find(node);
            if (found == backups_.end() || found->second.trouble == words) return;
            found->second.trouble = words;
            ground_.warn("session=" + to_string(assign_.session) + " checkpoints do not reach node " + to_string(node) + ": " + words);
        });
        std::function<void(std::uint64_t)> voided = lifeline_.bind([this, node](std::uint64_t serial) {
            const auto found = backups_.find(node);
            if (found == backups_.end() || found->second.void_ticket == serial) return;
            found->second.void_ticket = serial;
            on_changed_();
        });
        auto& loop = ground_.loop;
        CheckpointSender::Listener listener{
            [&loop, stored](CheckpointId id, Duration transfer) { loop.post([stored, id, transfer] { stored(id, transfer); }); },
            [&loop, trouble](const std::string& words) { loop.post([trouble, words] { trouble(words); }); },
            [&loop, voided](std::uint64_t serial) { loop.post([voided, serial] { voided(serial); }); }};
        backups_[node].sender = std::make_unique<CheckpointSender>(*ground_.settings.pump, as_seen_here(peer.endpoint, ground_.settings.loopback_alias),
                                                                   peer.ticket, std::move(listener));
    }
    offer_newest();
    // A session that has just come (back) draws its first picture before it is stopped for the first time.
    if (wanted() && timer_ == 0 && !dumping_) schedule(std::max(Duration::zero(), started_ + kFirstPicture - ground_.loop.now()));
}

void Checkpointer::set_frozen(bool frozen) {
    frozen_ = frozen;
    if (!frozen_) run_.thaw();
    else if (!dumping_ || !stopped_for_dump_) run_.freeze();
    if (!frozen_ && wanted() && timer_ == 0 && !dumping_) schedule(pace_.interval());
}

void Checkpointer::schedule(Duration delay) {
    if (timer_ != 0) ground_.loop.cancel(timer_);
    timer_ = ground_.loop.after(delay, [this] {
        timer_ = 0;
        begin();
    });
}

void Checkpointer::begin() {
    if (dumping_ || frozen_ || run_.pid() <= 0 || !wanted()) return;
    const bool unseen = sequence_ == 0 && !finished_ && ground_.services.window_connections(assign_.session).empty();
    if (unseen && ground_.loop.now() < started_ + kFirstWindow) {  // a dump now would keep the person waiting
        schedule(kDeadWait);
        return;
    }
    if (has_dead_children(run_.pid()) && ++dead_waits_ < kDeadWaits) {
        schedule(kDeadWait);
        return;
    }
    dead_waits_ = 0;
    // From here on nobody new connects, so that every connection that reaches out is known.
    stopped_for_dump_ = true;
    auto outer = peer_inodes(ground_.services.window_connections(assign_.session));
    if (std::find(outer.begin(), outer.end(), 0U) != outer.end() && ++connection_waits_ < kConnectionWaits) {
        schedule(kConnectionWait);  // the X server has not taken one of them yet
        return;
    }
    std::erase(outer, 0U);
    connection_waits_ = 0;
    begin_dump(std::move(outer));
}

void Checkpointer::begin_dump(std::vector<std::uint64_t> outer_sockets) {
    auto criu = CriuProcess::start_for_dump();
    if (!criu) {
        note_resumed();
        note_failure(criu.error().message);
        return;
    }
    criu_ = std::move(*criu);
    dumping_ = true;
    began_ = ground_.loop.now();
    DumpTask task;
    task.socket = criu_->socket();
    task.pid = run_.pid();
    task.session = assign_.session;
    task.id = {assign_.epoch, ++sequence_};
    task.parent = chain_links_ == 0 || chain_links_ >= kChainLinks ? CheckpointId{} : last_;
    task.application = assign_.application.name;
    task.store_folder = store_.folder();
    task.root = run_.root();
    task.has_environment = !assign_.application.environment.empty();
    if (task.parent != CheckpointId{}) task.before = std::move(marks_);
    task.outer_sockets = std::move(outer_sockets);
    task.now_wall_ms = wall_ms();
    std::function<void()> resumed = lifeline_.bind([this] { note_resumed(); });
    std::function<void(Result<DumpOutcome>, Duration)> made = lifeline_.bind([this](Result<DumpOutcome> outcome, Duration work) { note_made(std::move(outcome), work); });
    worker_.run([&loop = ground_.loop, task = std::move(task), resumed, made] {
        const auto began = std::chrono::steady_clock::now();
        auto outcome = dump_session(task, [&] { loop.post(resumed); });
        const auto work = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began);
        loop.post([made, outcome = std::move(outcome), work]() mutable { made(std::move(outcome), work); });
    });
}

void Checkpointer::note_resumed() {
    stopped_for_dump_ = false;
    if (finished_ || frozen_) run_.freeze();  // after the last checkpoint, because what is done then would be lost
    ground_.services.windows_may_connect(assign_.session);
}

void Checkpointer::note_made(Result<DumpOutcome> outcome, Duration work) {
    dumping_ = false;
    end_criu();
    if (!outcome) {
        note_failure(outcome.error().message);
        return;
    }
    const auto info = outcome->meta.info;
    const bool complete = outcome->meta.parent == CheckpointId{};
    failure_.clear();
    failures_ = 0;
    marks_ = std::move(outcome->marks);
    last_ = info.id;
    chain_links_ = complete ? 1 : chain_links_ + 1;
    // The first of a chain is dearer than all others; it would only mislead.
    if (!complete || sequence_ == 1) pace_.made(milliseconds(info.pause_ms), work);
    ground_.services.log("debug", "session=" + to_string(assign_.session) + " checkpoint " + folder_of(info.id) + (complete ? " complete" : "") +
                                      " bytes=" + std::to_string(info.bytes) + " pause_ms=" + std::to_string(info.pause_ms) + " work_ms=" + std::to_string(to_ms(work)));
    store_.add(std::move(outcome->meta));
    offer_newest();
    tidy();
    on_changed_();
    if (finished_) {
        last_taken_ = true;
        check_finished();
        return;
    }
    const auto spent = ground_.loop.now() - began_;
    schedule(std::max(pace_.interval() - spent, Duration(milliseconds(100))));
}

void Checkpointer::note_failure(const std::string& reason) {
    const bool news = failure_ != reason;
    failure_ = reason;
    chain_links_ = 0;  // the failed attempt may have reset what tells changed memory from unchanged
    marks_.clear();
    const auto factor = 1U << std::min(failures_, 10U);
    ++failures_;
    if (news) ground_.warn("session=" + to_string(assign_.session) + " can't be checkpointed: " + reason);
    if (news) on_changed_();
    if (finished_) {
        auto done = std::exchange(finished_, {});
        done("no last checkpoint could be taken: " + reason);
        return;
    }
    schedule(std::min(kFirstRetry * factor, kLongestRetry));
}

void Checkpointer::offer_newest() {
    const auto* newest = store_.newest();
    // Only what this run made: older ones came from where this session was before.
    if (newest == nullptr || newest->info.id.epoch != assign_.epoch) return;
    for (auto& [node, backup] : backups_) backup.sender->offer({store_.chain(newest->info.id), store_.folder()});
}

void Checkpointer::note_stored(NodeId node, CheckpointId id, Duration transfer) {
    const auto found = backups_.find(node);
    if (found == backups_.end()) return;
    const bool was_protected = protected_now();
    found->second.stored = std::max(found->second.stored, id);
    found->second.trouble.clear();
    pace_.brought(transfer);
    if (!was_protected) on_changed_();
    check_finished();
}

void Checkpointer::tidy() {
    for (auto& folder : store_.take_superfluous()) {
        ground_.cleaner.run([folder] { remove_tree(folder); });
    }
}

bool Checkpointer::protected_now() const {
    return failure_.empty() && std::any_of(backups_.begin(), backups_.end(), [this](const auto& entry) { return entry.second.stored.epoch == assign_.epoch; });
}

void Checkpointer::finish(std::function<void(std::string)> done) {
    finished_ = std::move(done);
    finish_timer_ = ground_.loop.after(kFinishLimit, [this] {
        finish_timer_ = 0;
        if (!finished_) return;
        auto call = std::exchange(finished_, {});
        call("the last checkpoint did not reach every backup in time");
    });
    last_taken_ = false;
    if (!dumping_) {
        // The windows were cut just now: the X server has to notice before its state is taken.
        schedule(kAfterCut);
        if (!wanted()) {
            auto call = std::exchange(finished_, {});
            call("the session is not protected by checkpoints");
        }
    }
}

void Checkpointer::check_finished() {
    if (!finished_ || !last_taken_) return;
    for (const auto& [node, backup] : backups_) {
        if (backup.stored < last_) return;
    }
    auto done = std::exchange(finished_, {});
    done("");
}

void Checkpointer::fill(SessionStatus& status) const {
    for (const auto& [node, backup] : backups_) status.void_ticket = std::max(status.void_ticket, backup.void_ticket);
    status.checkpoints = store_.held();
    status.interval_ms = static_cast<std::uint32_t>(to_ms(pace_.interval()));
    status.in_force = Protection::restart;
    status.protection_reason.clear();
    if (assign_.protection != Protection::checkpoint) return;
    if (protected_now()) {
        status.in_force = Protection::checkpoint;
    } else if (!failure_.empty()) {
        status.protection_reason = failure_;
    } else {
        status.protection_reason = backups_.empty() ? "there is no backup to keep checkpoints" : "the first checkpoint is on its way to a backup";
    }
}

}  // namespace understudy::node
