// See store.hpp.
#include "tests/sim/store.hpp"

#include "protocol/marks.hpp"

namespace understudy::sim {

using manager::Batch;
using manager::CommitAnswer;
using manager::CommitOutcome;

Result<manager::StoreContent> SimStore::load_all() { return manager::StoreContent{head_, image()}; }

manager::Image SimStore::copy_before(TimePoint when) const {
    const auto after = copies_.upper_bound(when);
    return after == copies_.begin() ? manager::Image{} : std::prev(after)->second;
}

void SimStore::replace(const manager::Image& image) {
    content_ = {image.begin(), image.end()};
    head_ = {};
    ++files_;
    ++power_;  // what is still on its way belongs to the file that was there
}

bool SimStore::apply(const Batch& batch) {
    if (head_ != batch.guard) return false;
    for (const manager::Write& write : batch.writes) {
        if (write.value.empty()) content_.erase(write.key);
        else content_.insert_or_assign(write.key, write.value);
    }
    head_ = batch.next;
    constexpr Duration kCopyInterval{20'000'000};
    constexpr std::size_t kCopies = 20;
    if (keeps_copies && (copies_.empty() || kernel_.now() - copies_.rbegin()->first >= kCopyInterval)) {
        copies_[kernel_.now()] = image();
        if (copies_.size() > kCopies) copies_.erase(copies_.begin());
    }
    kernel_.mix("committed", head_.version, batch.writes.size());
    committed(batch);
    return true;
}

void SimStore::commit(const Batch& batch) {
    const std::uint64_t power = power_;
    const Duration takes = condition.latency + rng_.between(Duration(0), condition.latency);
    if (rng_.permille(condition.failing_permille)) {
        UNDERSTUDY_MARK("store.commit_failed");
        kernel_.after(takes, [this, batch, power] {
            if (power == power_) answer_commit({batch.next, CommitOutcome::failed, "the disk is full"});
        });
        return;
    }
    if (rng_.permille(condition.unknown_permille)) {
        if (rng_.permille(500)) {
            UNDERSTUDY_MARK("store.unknown_and_arrived");
            // It may arrive even after the answer, or after the manager that sent it is gone.
            kernel_.after(rng_.between(Duration(0), rng_.permille(300) ? Duration(8'000'000) : takes),
                          [this, batch, file = files_] {
                              if (file == files_) (void)apply(batch);
                          });
        } else {
            UNDERSTUDY_MARK("store.unknown_and_lost");
        }
        kernel_.after(takes, [this, batch, power] {
            if (power == power_) answer_commit({batch.next, CommitOutcome::unknown, "timed out"});
        });
        return;
    }
    writing_ = true;
    in_flight_ = batch;
    kernel_.after(takes, [this, power] {
        if (power != power_) return;
        writing_ = false;
        const Batch done = std::move(in_flight_);
        const bool applied = apply(done);
        if (!applied) UNDERSTUDY_MARK("store.conflict");
        answer_commit({done.next, applied ? CommitOutcome::committed : CommitOutcome::conflict, "the head has moved"});
    });
}

void SimStore::read_head() {
    const std::uint64_t power = power_;
    const bool fails = rng_.permille(condition.failing_permille);
    kernel_.after(condition.latency, [this, power, fails] {
        if (power != power_) return;
        if (fails) answer_head(failure(ErrorCode::unavailable, "the disk does not answer"));
        else answer_head(head_);
    });
}

void SimStore::power_lost(bool lose_unsynced) {
    ++power_;
    if (writing_ && !lose_unsynced && rng_.permille(500)) {
        UNDERSTUDY_MARK("store.crash_after_sync");
        (void)apply(in_flight_);
    } else if (writing_) {
        UNDERSTUDY_MARK("store.unsynced_lost");
    }
    writing_ = false;
}

}  // namespace understudy::sim
