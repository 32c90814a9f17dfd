// The machines of a pool that nobody needs, at one moment: its idle ones and others on their way, less what is taken.
#pragma once

#include <cstddef>
#include <set>
#include <vector>

#include "protocol/ids.hpp"

namespace understudy::manager {

/// Looks at the pool's idle machines where they are: there may be thousands, and pools are planned often. Whatever
/// stops being idle is no longer found; the set must live as long as this.
class Spare {
  public:
    explicit Spare(const std::set<NodeId>& idle) : idle_(&idle) {}

    /// Counts one more, which must not be idle.
    void add(NodeId id) { on_their_way_.insert(id); }

    [[nodiscard]] std::size_t size() const { return idle_->size() + on_their_way_.size() - taken_.size(); }

    /// The lowest that suits, or none.
    template <class Suits>
    [[nodiscard]] NodeId first(const Suits& suits) const {
        auto idle = idle_->lower_bound(from_);
        auto other = on_their_way_.begin();
        while (idle != idle_->end() || other != on_their_way_.end()) {
            const bool of_idle = other == on_their_way_.end() || (idle != idle_->end() && *idle < *other);
            const NodeId id = of_idle ? *idle++ : *other++;
            if (of_idle && taken_.contains(id)) continue;
            if (suits(id)) return id;
        }
        return {};
    }

    /// In ascending order: for whoever changes what is idle meanwhile.
    [[nodiscard]] std::vector<NodeId> all() const {
        std::vector<NodeId> ids;
        ids.reserve(size());
        static_cast<void>(first([&](NodeId id) {
            ids.push_back(id);
            return false;
        }));
        return ids;
    }

    /// Somebody needs it.
    void take(NodeId id) {
        if (on_their_way_.erase(id) != 0) return;
        taken_.insert(id);
        // Many needs take the lowest one after the other: nobody walks past all of those again.
        auto place = idle_->lower_bound(from_);
        while (place != idle_->end() && taken_.contains(*place)) from_ = NodeId((place++)->value + 1);
    }

  private:
    const std::set<NodeId>* idle_;
    std::set<NodeId> on_their_way_;
    std::set<NodeId> taken_;  ///< of the idle ones
    NodeId from_;             ///< every idle one below is taken
};

}  // namespace understudy::manager
