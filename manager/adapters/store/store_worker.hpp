// Gives a blocking store a thread of its own and makes it the port that the loop uses. Batches are merged
// by the dispatcher while one is being synced, so each sync serves everything that came meanwhile.
#pragma once

#include <memory>
#include <thread>
#include <variant>

#include "manager/adapters/store/record_store.hpp"
#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/mailbox.hpp"

namespace understudy::manager {

class StoreWorker : public StorePort {
  public:
    /// Answers go to `sink`, from the worker's thread, as CommitAnswer and HeadAnswer.
    StoreWorker(std::unique_ptr<RecordStore> store, ArrivalSink sink);
    /// Finishes what is under way.
    ~StoreWorker() override;

    /// Precondition: before the first commit() or read_head().
    [[nodiscard]] Result<StoreContent> load_all() override { return store_->load(); }
    void commit(const Batch& batch) override { orders_.push(batch); }
    void read_head() override { orders_.push(ReadHead{}); }

  private:
    struct ReadHead {};
    struct Stop {};
    using Order = std::variant<Batch, ReadHead, Stop>;
    void run();

    std::unique_ptr<RecordStore> store_;
    ArrivalSink sink_;
    Mailbox<Order> orders_;
    std::thread thread_;
};

}  // namespace understudy::manager
