// What a store can do, as plain blocking calls. StoreWorker gives any of them a thread and makes it the
// port the loop uses. Used by one thread at a time.
#pragma once

#include "manager/runtime/ports.hpp"

namespace understudy::manager {

class RecordStore {
  public:
    virtual ~RecordStore() = default;

    /// Everything. Errors: `damaged`, `unavailable`.
    [[nodiscard]] virtual Result<StoreContent> load() = 0;

    /// Applies the batch as a whole, synced, when the head is its guard. The answer's outcome is as
    /// CommitOutcome defines it; never throws.
    [[nodiscard]] virtual CommitAnswer commit(const Batch& batch) = 0;

    /// Errors: `unavailable`.
    [[nodiscard]] virtual Result<StoreHead> head() = 0;

    /// Work of the store's own that no answer has to wait for; whoever commits calls it when the answer was given.
    virtual void tidy() {}
};

}  // namespace understudy::manager
