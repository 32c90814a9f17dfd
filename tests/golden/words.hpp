// Puts records, actions and messages into words: one readable line each. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "manager/core/core.hpp"
#include "manager/core/state.hpp"

namespace understudy::golden {

/// Names that people use instead of numbers. Names stay known after a record is gone.
class Names {
  public:
    void learn(const manager::State& state);
    void learn(SessionId id, std::string name) { sessions_[id] = std::move(name); }
    void learn(TerminalId id, std::string name) { terminals_[id] = std::move(name); }
    [[nodiscard]] std::string of(NodeId id) const;
    [[nodiscard]] std::string of(HostId id) const;
    [[nodiscard]] std::string of(TerminalId id) const;
    [[nodiscard]] std::string of(SessionId id) const;
    [[nodiscard]] std::string of(IncidentId id) const;

  private:
    std::map<HostId, std::string> hosts_;
    std::map<TerminalId, std::string> terminals_;
    std::map<SessionId, std::string> sessions_;
};

[[nodiscard]] std::string seconds_of(Duration duration);
[[nodiscard]] const char* word_for(Duty duty);
[[nodiscard]] const char* word_for(Phase phase);
[[nodiscard]] std::string word_for(CheckpointId id);

/// What one write changed, against the value before (empty: none); no line when it changed nothing worth
/// reading (numbers for the machinery).
[[nodiscard]] std::vector<std::string> describe_write(const Names& names, const manager::Write& write,
                                                      const Bytes& before);

/// "" for what is elided: acknowledgements, welcomes, listings, echoes; unless `everything` is true.
enum class Detail { usual, everything };
[[nodiscard]] std::string describe_action(const Names& names, const manager::Action& action, Detail detail);
[[nodiscard]] std::string describe_message(const Names& names, const Message& message);
[[nodiscard]] std::string describe_event(const Names& names, const manager::Event& event);

}  // namespace understudy::golden
