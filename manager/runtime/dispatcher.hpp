// Carries out what the core decided, in the order that the contract of Step demands: records first, then
// what depends on them; of that, whatever is said to somebody goes before the work of hypervisors. Batches
// are committed one after another, retried with back-off, and merged while they wait. No I/O and no clock
// of its own; the thread that owns the core owns the dispatcher.
//
// One batch is in the store's hands at a time. When the store cannot tell what became of it, its head is
// read: `next` there means that the batch arrived, `guard` that it did not (the very same batch is tried
// again, so that a late arrival is harmless), and anything else that another manager writes to this store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manager/core/events.hpp"
#include "manager/runtime/ports.hpp"

namespace understudy::manager {

struct DispatcherSettings {
    Duration retry_first{20'000};      ///< pause after the first failure of a batch
    Duration retry_longest{2'000'000};  ///< it doubles up to this
    std::uint32_t failures_to_tell = 2;  ///< after so many failures in a row the core hears StoreState
    Duration slow_to_tell{3'000'000};  ///< or after so long without an answer
    std::size_t batch_writes = 4096;   ///< a merged batch is closed at this many keys
    std::size_t waiting_actions = 65536;  ///< beyond this the oldest repeatable messages are dropped
};

/// Figures for views and for the simulator's bounds.
struct DispatcherFigures {
    std::size_t waiting_batches = 0;
    std::size_t waiting_actions = 0;
    std::uint64_t committed = 0;       ///< batches
    std::uint64_t retries = 0;
    std::uint64_t superseded = 0;      ///< waiting assignments replaced by newer ones to the same subject
    std::uint64_t dropped = 0;         ///< messages given up because of the bound
};

class Dispatcher {
  public:
    /// `loaded` is the head that came with the content the core was loaded from; `writer` is random.
    /// The ports outlive the dispatcher.
    Dispatcher(DispatcherSettings settings, StoreHead loaded, std::uint64_t writer, StorePort& store,
               SealerPort& sealer, OutletPort& outlet);

    /// Takes over one step of the core. Steps must come in the order the core made them.
    void accept(TimePoint now, Step step);

    /// Answers from the store; an answer to something not asked is ignored.
    void commit_answered(TimePoint now, const CommitAnswer& answer);
    void head_answered(TimePoint now, const Result<StoreHead>& head);

    /// Call at wake_at() (or at any other time).
    void woken(TimePoint now);

    /// When woken() is wanted.
    [[nodiscard]] TimePoint wake_at() const;

    /// What the core must be told, if anything: call after every call above until it returns nothing, and
    /// hand it to Core::handle. A StoreState or an Echoed.
    [[nodiscard]] std::optional<Event> take_event();

    /// Set once and for ever when another manager owns the store: stop acting, end the program.
    [[nodiscard]] const std::optional<Error>& fatal() const { return fatal_; }

    /// Nothing waits for the store.
    [[nodiscard]] bool quiet() const { return batches_.empty(); }
    [[nodiscard]] const StoreHead& durable() const { return durable_; }
    [[nodiscard]] DispatcherFigures figures() const;

  private:
    /// What an assignment is about: a newer one to the same subject makes a waiting older one pointless.
    struct Subject {
        std::uint64_t to = 0;
        int kind = 0;
        std::uint64_t id = 0;
        auto operator<=>(const Subject&) const = default;
    };
    struct Waiting {
        Action action;
        bool void_now = false;  ///< superseded or dropped
    };
    /// Writes of one or more steps and the actions that wait for them.
    struct Pending {
        std::map<std::string, Bytes> writes;
        std::deque<Waiting> actions;
    };
    /// `reading`: the head is asked for because a commit's outcome is not known.
    enum class StoreWork : std::uint8_t { none, committing, reading, pausing };

    void enqueue(Pending& pending, std::vector<Action> actions);
    void shed();
    void compact();
    void begin(TimePoint now);
    void succeeded(TimePoint now);
    void failed(TimePoint now, const std::string& reason);
    void note_failure(const std::string& reason);
    void tell_failing(const std::string& reason);
    void carry_out(Action& action);
    void seal(Message& message);
    [[nodiscard]] static std::optional<Subject> subject_of(const Action& action);

    DispatcherSettings settings_;
    StorePort& store_;
    SealerPort& sealer_;
    OutletPort& outlet_;
    std::uint64_t writer_;
    StoreHead durable_;
    std::deque<Pending> batches_;  ///< front: in the store's hands once `work_` says so
    bool front_sealed_ = false;    ///< the front was handed to the store at least once: never changed again
    Batch sent_;                   ///< the front as the store got it
    StoreWork work_ = StoreWork::none;
    TimePoint asked_at_{};
    TimePoint retry_at_ = kNever;
    std::uint32_t failures_ = 0;
    bool told_failing_ = false;
    bool read_again_ = false;      ///< the pause ends with reading the head, not with the commit
    std::deque<Event> events_;
    std::optional<Error> fatal_;
    std::map<Subject, Waiting*> newest_;
    std::size_t waiting_actions_ = 0;
    std::size_t void_actions_ = 0;  ///< superseded or dropped, still in a queue
    DispatcherFigures figures_;
};

}  // namespace understudy::manager
