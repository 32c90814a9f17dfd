// See memory_store.hpp.
#include "manager/adapters/store/memory_store.hpp"

namespace understudy::manager {

Result<StoreContent> MemoryStore::load() {
    return StoreContent{head_, Image(records_.begin(), records_.end())};
}

CommitAnswer MemoryStore::commit(const Batch& batch) {
    if (batch.guard != head_) {
        return {batch.next, CommitOutcome::conflict, "the store is at version " + std::to_string(head_.version)};
    }
    for (const Write& write : batch.writes) {
        if (write.value.empty()) {
            records_.erase(write.key);
        } else {
            records_.insert_or_assign(write.key, write.value);
        }
    }
    head_ = batch.next;
    return {batch.next, CommitOutcome::committed, {}};
}

}  // namespace understudy::manager
