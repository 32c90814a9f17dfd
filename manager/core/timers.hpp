// Deadlines that are looked at once, not scanned. A deadline may be armed too early on purpose: whoever
// is called checks what is really due and arms again. So a heartbeat only writes down a time and costs
// the same for any number of nodes; the queue is touched about once per node and deadline length.
#pragma once

#include <cstdint>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "protocol/time.hpp"

namespace understudy::manager {

enum class TimerKind : std::uint8_t { node, session, terminal, pool, sweep, host, gate, tick, rebuild, fence };

/// Names one deadline: at most one per kind and subject is armed.
struct TimerKey {
    TimerKind kind = TimerKind::tick;
    std::uint64_t subject = 0;
    auto operator<=>(const TimerKey&) const = default;
};

struct TimerKeyHash {
    std::size_t operator()(const TimerKey& key) const noexcept {
        return std::hash<std::uint64_t>{}(key.subject * 16 + static_cast<std::uint64_t>(key.kind));
    }
};

class Timers {
  public:
    /// Sees to it that `key` fires at `at` or earlier.
    void arm(TimerKey key, TimePoint at) {
        if (at == kNever) return;
        const auto [entry, added] = armed_.try_emplace(key, at);
        if (!added) {
            if (entry->second <= at) return;
            entry->second = at;
        }
        heap_.push({at, key});
    }

    /// Moment of the earliest deadline.
    [[nodiscard]] TimePoint next() {
        drop_stale();
        return heap_.empty() ? kNever : heap_.top().at;
    }

    /// Takes the earliest deadline that is due; false when there is none.
    bool take_due(TimePoint now, TimerKey& key) {
        drop_stale();
        if (heap_.empty() || heap_.top().at > now) return false;
        key = heap_.top().key;
        heap_.pop();
        armed_.erase(key);
        return true;
    }

  private:
    struct Entry {
        TimePoint at;
        TimerKey key;
        bool operator<(const Entry& other) const {
            return std::tie(other.at, other.key) < std::tie(at, key);  // earliest on top, ties by key
        }
    };

    void drop_stale() {
        while (!heap_.empty()) {
            const auto armed = armed_.find(heap_.top().key);
            if (armed != armed_.end() && armed->second == heap_.top().at) return;
            heap_.pop();
        }
    }

    std::priority_queue<Entry> heap_;
    std::unordered_map<TimerKey, TimePoint, TimerKeyHash> armed_;
};

}  // namespace understudy::manager
