// A store that forgets with its process: for tests and for looking at the manager without a disk.
// Used by one thread at a time.
#pragma once

#include <map>
#include <string>

#include "manager/adapters/store/record_store.hpp"

namespace understudy::manager {

class MemoryStore : public RecordStore {
  public:
    [[nodiscard]] Result<StoreContent> load() override;
    [[nodiscard]] CommitAnswer commit(const Batch& batch) override;
    [[nodiscard]] Result<StoreHead> head() override { return head_; }

  private:
    StoreHead head_;
    std::map<std::string, Bytes> records_;
};

}  // namespace understudy::manager
