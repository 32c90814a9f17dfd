// A store with given records in it, as a manager would have left it.
#pragma once

#include <stdexcept>
#include <string>

#include "manager/adapters/store/record_store.hpp"

namespace understudy::bench {

/// Commits `image` to an empty store, in batches of the dispatcher's size; returns the head that it has then.
/// Throws what the store says when it does not commit.
inline manager::StoreHead fill(manager::RecordStore& store, const manager::Image& image) {
    constexpr std::size_t kWritesPerBatch = 4096;
    manager::Batch batch;
    const auto commit = [&] {
        batch.next = {batch.guard.version + 1, 1};
        const auto answer = store.commit(batch);
        if (answer.outcome != manager::CommitOutcome::committed) throw std::runtime_error(answer.reason);
        batch = {batch.next, {}, {}};
    };
    for (const auto& [key, value] : image) {
        batch.writes.push_back({key, value});
        if (batch.writes.size() == kWritesPerBatch) commit();
    }
    if (!batch.writes.empty()) commit();
    return batch.guard;
}

}  // namespace understudy::bench
