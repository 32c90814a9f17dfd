// What the dispatcher needs from the outside world: a store that commits, a sealer that signs tickets, and
// an outlet that carries actions out. Adapters and the simulator implement these; nothing here does I/O.
// All calls are made by the thread that owns the core; no implementation may call back into the dispatcher
// from inside one of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "manager/core/actions.hpp"
#include "manager/core/core.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// Where a store stands: how many batches it has taken, and who wrote the newest one. `writer` is a random
/// number per start of a manager, so that "version 7 is there" can be told apart from "my version 7 is".
struct StoreHead {
    std::uint64_t version = 0;  ///< 0: the store is empty
    std::uint64_t writer = 0;
    bool operator==(const StoreHead&) const = default;
};

/// A store's whole content at one instant.
struct StoreContent {
    StoreHead head;
    Image image;  ///< keys ascending
};

/// One atomic batch: it is applied as a whole when the store's head is still `guard`, and then makes the
/// head `next`; or it is not applied at all.
struct Batch {
    StoreHead guard;
    StoreHead next;             ///< version = guard.version + 1
    std::vector<Write> writes;  ///< keys ascending, each once; an empty value erases the key
};

/// How a commit ended.
enum class CommitOutcome : std::uint8_t {
    committed,  ///< applied and synced: it survives the loss of this machine's power
    failed,     ///< certainly not applied; the same batch may be tried again
    unknown,    ///< it may or may not have been applied, or may be applied yet
    conflict,   ///< certainly not applied now: the store's head was not `guard`
};

/// The answer to StorePort::commit.
struct CommitAnswer {
    StoreHead next;       ///< of the batch that is answered
    CommitOutcome outcome = CommitOutcome::failed;
    std::string reason;   ///< in the store's own words when it was not committed
};

/// Keeps records. Versions make it safe to retry and to notice a second manager.
class StorePort {
  public:
    virtual ~StorePort() = default;

    /// Everything, at once. Blocking; called before the loop starts. Errors: `damaged`, `unavailable`.
    [[nodiscard]] virtual Result<StoreContent> load_all() = 0;

    /// Starts to commit; returns at once. Exactly one answer per call reaches Dispatcher::commit_answered()
    /// later, from the loop. Precondition: no other commit or read_head is unanswered.
    virtual void commit(const Batch& batch) = 0;

    /// Starts to read the head; returns at once. Exactly one answer per call reaches
    /// Dispatcher::head_answered() later. Precondition: as for commit.
    virtual void read_head() = 0;
};

/// How long a ticket lets in for the first time. Whoever was let in has a renewal, which lives with the epoch.
inline constexpr Duration kTicketLife = std::chrono::seconds(60);

/// Signs tickets at the moment they are sent, and stamps them with the end of their life.
class SealerPort {
  public:
    virtual ~SealerPort() = default;
    /// The text a bearer presents. Never fails: a key that cannot sign is refused at start.
    /// It lets in once, within the next `kTicketLife`.
    [[nodiscard]] virtual std::string seal(TicketClaims& claims) = 0;
    /// What doors verify with; goes into every Welcome.
    [[nodiscard]] virtual const std::string& public_key() const = 0;
    /// The clock that tickets expire by, Unix milliseconds.
    [[nodiscard]] virtual std::int64_t wall_ms() const = 0;
};

/// Carries actions out. Tickets inside are sealed. Returns at once; results come back as core events.
/// Sending to a peer that is not connected is not an error: what matters is said again by the core.
class OutletPort {
  public:
    virtual ~OutletPort() = default;
    virtual void send_to_node(NodeId to, const Message& message) = 0;
    virtual void send_to_client(ClientId to, const Message& message) = 0;
    virtual void create(const CreateInstance& action) = 0;
    virtual void resume(const ResumeInstance& action) = 0;
    virtual void scrub(const ScrubInstance& action) = 0;
    virtual void deploy(const DeployEnvironment& action) = 0;
    virtual void destroy(const DestroyInstance& action) = 0;
    virtual void list(const ListInstances& action) = 0;
    virtual void fence(const FenceHost& action) = 0;
    virtual void note(const Note& action) = 0;
};

}  // namespace understudy::manager
