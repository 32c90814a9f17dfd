// The machines of a pool that nobody needs, at one moment: its idle ones and some of those coming, less what is taken.
#pragma once

#include <algorithm>
#include <set>
#include <utility>

#include "protocol/ids.hpp"

namespace understudy::manager {

/// Looks at the pool's idle machines where they are: there may be thousands, and pools are planned often. Whatever
/// stops being idle is no longer found; the set must live as long as this.
class Spare {
  public:
    /// Both in ascending order, and without a common member.
    Spare(const std::set<NodeId>& idle, std::set<NodeId> coming) : idle_(&idle), coming_(std::move(coming)) {}

    [[nodiscard]] std::size_t size() const { return idle_->size() + coming_.size() - taken_.size(); }

    /// The lowest that suits, or none.
    template <class Suits>
    [[nodiscard]] NodeId first(const Suits& suits) const {
        return walk(idle_->begin(), idle_->end(), coming_.begin(), coming_.end(), std::less<>(), suits);
    }

    /// The highest that suits, or none.
    template <class Suits>
    [[nodiscard]] NodeId last(const Suits& suits) const {
        return walk(idle_->rbegin(), idle_->rend(), coming_.rbegin(), coming_.rend(), std::greater<>(), suits);
    }

    /// Somebody needs it.
    void take(NodeId id) {
        if (coming_.erase(id) == 0) taken_.insert(id);
    }

  private:
    template <class Place, class Before, class Suits>
    [[nodiscard]] NodeId walk(Place idle, Place no_idle, Place coming, Place none_coming, Before before, const Suits& suits) const {
        while (idle != no_idle || coming != none_coming) {
            const bool of_idle = coming == none_coming || (idle != no_idle && before(*idle, *coming));
            const NodeId id = of_idle ? *idle++ : *coming++;
            if (of_idle && taken_.contains(id)) continue;
            if (suits(id)) return id;
        }
        return {};
    }

    const std::set<NodeId>* idle_;
    std::set<NodeId> coming_;
    std::set<NodeId> taken_;  ///< of the idle ones
};

}  // namespace understudy::manager
