// The deciding core: a deterministic state machine. An event and the time go in; records to persist and
// actions to carry out come out. No clock, no thread, no socket, no log, no randomness of its own.
//
// Reading order: records.hpp (what is remembered), events.hpp, actions.hpp, then the .cpp files by topic:
// detection, failover, placement, provisioning, terminals, intents.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "manager/core/actions.hpp"
#include "manager/core/events.hpp"
#include "manager/core/settings.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// The store's whole content, keys ascending.
using Image = std::vector<std::pair<std::string, Bytes>>;

struct State;

class Core {
  public:
    /// Rebuilds the state from what the store held. Nothing is decided yet; call start() next.
    /// Errors: `damaged` names the first key that does not decode.
    [[nodiscard]] static Result<Core> load(const Settings& settings, const Image& image);

    Core(Core&&) noexcept;
    Core& operator=(Core&&) noexcept;
    ~Core();

    /// First step of this incarnation: takes a new incarnation number, asks hypervisors what exists, gives
    /// every node one full silence interval to be heard. Call exactly once, before handle().
    [[nodiscard]] Step start(Moment now);

    /// Handles one event. Precondition: `now.at` never falls from call to call. Never fails: nonsense is
    /// counted or answered. Bounded work: what does not fit is continued at `wake_at`.
    [[nodiscard]] Step handle(Moment now, const Event& event);

    /// A second core in the same state, to try things on: what it decides happens nowhere (rehearsal.hpp).
    [[nodiscard]] Core copy() const;

    /// For rehearsals, on a copy: it is certain at this moment that nothing runs on `host` any more, and that
    /// it does not answer.
    [[nodiscard]] Step imagine_gone(Moment now, HostId host);

    /// Everything known, for views, tests and the simulator's structural checks.
    [[nodiscard]] const State& state() const;

    /// The durable half of the live state in the store's form; equals the store's content once everything
    /// outstanding is committed (promise S9).
    [[nodiscard]] Image durable_image() const;

  private:
    explicit Core(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace understudy::manager
