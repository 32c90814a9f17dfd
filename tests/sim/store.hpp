// A store whose disk is a map: slow, failing, answering "unknown", losing what was not synced yet.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "manager/runtime/ports.hpp"
#include "tests/sim/kernel.hpp"

namespace understudy::sim {

class Oracle;

struct StoreCondition {
    Duration latency{500};
    std::uint32_t failing_permille = 0;
    std::uint32_t unknown_permille = 0;
};

class SimStore : public manager::StorePort {
  public:
    SimStore(Kernel& kernel, Rng rng) : kernel_(kernel), rng_(rng) {}

    /// Where answers go; they pass through whoever can lose them.
    std::function<void(manager::CommitAnswer)> answer_commit;
    std::function<void(Result<manager::StoreHead>)> answer_head;
    /// Called when a batch has become durable.
    std::function<void(const manager::Batch&)> committed;
    StoreCondition condition;
    bool keeps_copies = false;  ///< for a fault that puts one back

    [[nodiscard]] Result<manager::StoreContent> load_all() override;
    void commit(const manager::Batch& batch) override;
    void read_head() override;

    /// The machine lost its power: what is being written is lost, or (when `lose_unsynced` is false)
    /// may just have made it.
    void power_lost(bool lose_unsynced);

    /// The newest copy made before `when`; copies are made now and then. Empty: there is none.
    [[nodiscard]] manager::Image copy_before(TimePoint when) const;
    /// Another file is in its place now; nobody writes at this moment.
    void replace(const manager::Image& image);

    [[nodiscard]] const std::map<std::string, Bytes>& content() const { return content_; }
    [[nodiscard]] manager::Image image() const { return {content_.begin(), content_.end()}; }

  private:
    bool apply(const manager::Batch& batch);

    Kernel& kernel_;
    Rng rng_;
    std::map<std::string, Bytes> content_;
    manager::StoreHead head_;
    std::uint64_t files_ = 0;  ///< rises whenever another file is put in its place
    std::uint64_t power_ = 0;  ///< rises with every loss of power
    std::map<TimePoint, manager::Image> copies_;  ///< bounded
    bool writing_ = false;
    manager::Batch in_flight_;
};

}  // namespace understudy::sim
