// Simulated time, the one event queue, and the trace. Everything that happens is a task at a moment; ties
// are broken by the order of planning, so one seed is one history.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/basics.hpp"

namespace understudy::sim {

class Kernel {
  public:
    using Task = std::function<void()>;

    explicit Kernel(bool print) : print_(print) {}

    [[nodiscard]] TimePoint now() const { return now_; }
    [[nodiscard]] std::uint64_t events() const { return events_; }

    void at(TimePoint when, Task task) {
        std::uint32_t slot = 0;
        if (free_.empty()) {
            slot = static_cast<std::uint32_t>(tasks_.size());
            tasks_.push_back(std::move(task));
        } else {
            slot = free_.back();
            free_.pop_back();
            tasks_[slot] = std::move(task);
        }
        heap_.push_back({std::max(when, now_), ++planned_, slot});
        std::push_heap(heap_.begin(), heap_.end());
    }
    void after(Duration delay, Task task) { at(now_ + delay, std::move(task)); }

    /// Runs everything up to and including `until`; then it is `until`.
    void run_until(TimePoint until) {
        while (!heap_.empty() && heap_.front().when <= until) {
            std::pop_heap(heap_.begin(), heap_.end());
            const Entry entry = heap_.back();
            heap_.pop_back();
            at_this_instant_ = entry.when == now_ ? at_this_instant_ + 1 : 0;
            if (at_this_instant_ > kMostAtOnce) throw Violation{Exit::safety, "S11", "time stands still: something wakes itself for ever"};
            now_ = entry.when;
            ++events_;
            Task task = std::move(tasks_[entry.slot]);
            tasks_[entry.slot] = nullptr;
            free_.push_back(entry.slot);
            task();
        }
        now_ = until;
    }

    /// Something happened; part of the hash and of the printed trace. `what` and `detail` must outlive us.
    void trace(const char* what, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0, std::uint64_t d = 0,
               const char* detail = "") {
        mix(what, a, b, c, d);
        const Line line{now_, what, detail, a, b, c, d};
        if (print_) std::puts(text_of(line).c_str());
        if (lines_.size() < kKept) lines_.push_back(line);
        else lines_[next_line_ % kKept] = line;
        ++next_line_;
    }
    /// For the frequent and dull: part of the hash, printed on demand, not kept.
    void chatter(const char* what, std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d, const char* detail) {
        mix(what, a, b, c, d);
        if (print_) std::puts(text_of({now_, what, detail, a, b, c, d}).c_str());
    }
    /// Part of the hash alone.
    void mix(const char* what, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0, std::uint64_t d = 0) {
        hash_.mix(static_cast<std::uint64_t>(to_us(now_)));
        hash_.mix(std::string_view(what).substr(0, 4));
        hash_.mix(a);
        hash_.mix(b);
        hash_.mix(c);
        hash_.mix(d);
    }
    [[nodiscard]] std::uint64_t hash() const { return hash_.value(); }

    /// The newest lines, oldest first.
    [[nodiscard]] std::string last_lines(std::size_t count) const {
        std::string text;
        const std::size_t have = std::min(lines_.size(), count);
        for (std::size_t i = 0; i < have; ++i) {
            text += text_of(lines_[(next_line_ - have + i) % kKept]);
            text += '\n';
        }
        return text;
    }

  private:
    static constexpr std::size_t kKept = 4096;
    static constexpr std::uint64_t kMostAtOnce = 50'000;
    struct Entry {
        TimePoint when;
        std::uint64_t order = 0;
        std::uint32_t slot = 0;
        bool operator<(const Entry& other) const {
            return other.when != when ? other.when < when : other.order < order;
        }
    };
    struct Line {
        TimePoint when;
        const char* what = "";
        const char* detail = "";
        std::uint64_t a = 0, b = 0, c = 0, d = 0;
    };
    static std::string text_of(const Line& line) {
        char buffer[256];
        const std::int64_t us = to_us(line.when);
        std::snprintf(buffer, sizeof buffer, "%8lld.%06lld  %-28s %6llu %6llu %6llu %6llu  %s",
                      static_cast<long long>(us / 1'000'000), static_cast<long long>(us % 1'000'000), line.what,
                      static_cast<unsigned long long>(line.a), static_cast<unsigned long long>(line.b),
                      static_cast<unsigned long long>(line.c), static_cast<unsigned long long>(line.d), line.detail);
        return buffer;
    }

    TimePoint now_{};
    std::vector<Entry> heap_;
    std::vector<Task> tasks_;
    std::vector<std::uint32_t> free_;
    std::uint64_t planned_ = 0;
    std::uint64_t events_ = 0;
    std::uint64_t at_this_instant_ = 0;
    bool print_;
    TraceHash hash_;
    std::vector<Line> lines_;
    std::size_t next_line_ = 0;
};

}  // namespace understudy::sim
