// Runs one script: what every kind of stage has in common. Single-threaded.
#pragma once

#include <functional>
#include <queue>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/golden/script.hpp"

namespace understudy::golden {

/// The core broke a promise while the script ran; what() names it. `so_far` is the transcript up to there.
struct PromiseBroken : std::runtime_error {
    PromiseBroken(const std::string& what, std::string transcript)
        : std::runtime_error(what), so_far(std::move(transcript)) {}
    std::string so_far;
};

/// How long a message is under way between any two programs of a script.
inline constexpr Duration kWire{1'000};

/// What is going to happen, in order of time, then of announcement.
class Agenda {
  public:
    void add(TimePoint at, std::function<void()> act) { entries_.push({at, ++number_, std::move(act)}); }
    [[nodiscard]] TimePoint next() const { return entries_.empty() ? kNever : entries_.top().at; }
    [[nodiscard]] std::function<void()> take() {
        std::function<void()> act = entries_.top().act;
        entries_.pop();
        return act;
    }

  private:
    struct Entry {
        TimePoint at;
        std::uint64_t number;
        std::function<void()> act;
        bool operator<(const Entry& other) const { return at != other.at ? at > other.at : number > other.number; }
    };
    std::priority_queue<Entry> entries_;
    std::uint64_t number_ = 0;
};

/// The transcript of a script for the manager core. Throws ScriptError, PromiseBroken.
[[nodiscard]] std::string run_manager_script(const std::vector<Statement>& statements);

/// The transcript of a script for the agent core (its first statement is "agent …"). Throws as above.
[[nodiscard]] std::string run_agent_script(const std::vector<Statement>& statements);

}  // namespace understudy::golden
