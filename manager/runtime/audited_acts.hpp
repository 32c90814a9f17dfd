// Acts on their way: written down, then carried out, then answered, and the answer written down too. Owned by the
// loop's thread; the writing is somebody else's (audit_port.hpp), so that a slow disk keeps nobody from his heartbeats.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "manager/core/events.hpp"
#include "manager/runtime/audit_port.hpp"
#include "manager/runtime/peers_port.hpp"
#include "manager/runtime/verbs.hpp"

namespace understudy::manager {

class AuditedActs {
  public:
    explicit AuditedActs(AuditPort& audit) : audit_(audit) {}

    /// Ids of entries begin with this. Call before the first act.
    void set_incarnation(std::uint64_t incarnation) { incarnation_ = incarnation; }

    enum class Taken : std::uint8_t {
        recording,  ///< wait for recorded()
        known,      ///< the same request is on its way already: it may be told to the core again
        too_many,   ///< refuse it: so many wait for their entries
    };

    /// Somebody wants something. `by`: for whom, when it is a gateway.
    [[nodiscard]] Taken take(const ClientMessage& said, const AdminRequest& request, const std::string& by, const Intent& intent, std::int64_t wall_ms);

    /// What is to be done now that its entry was written, or was not.
    struct Ready {
        Intent intent;
        std::string verb;
        std::string who;
        Unrecorded unrecorded = Unrecorded::refused;  ///< what is to become of it when its entry could not be written
    };
    /// None when nobody waits for this entry.
    [[nodiscard]] std::optional<Ready> recorded(const std::string& id);

    /// An answer is about to leave; if it is that of an act it is written down.
    void answered(ClientId client, const AdminReply& reply, std::int64_t wall_ms);

    /// Something that was done without anybody's request: the configuration was read again.
    void note(const std::string& verb, std::vector<std::string> arguments, const std::string& text, std::int64_t wall_ms);

  private:
    struct Act {
        std::uint64_t number = 0;
        std::string id;
        Intent intent;
        std::string verb;
        std::string who;
        Unrecorded unrecorded = Unrecorded::refused;
        bool waits = true;  ///< for its entry
    };
    using Asked = std::pair<ClientId, std::uint64_t>;  ///< who, and which request

    [[nodiscard]] std::string next_id();
    /// Gives up the oldest act that was carried out and whose answer never came by. False: there is none.
    bool give_up_oldest(std::int64_t wall_ms);

    AuditPort& audit_;
    std::uint64_t incarnation_ = 0;
    std::uint64_t last_ = 0;
    std::map<Asked, Act> acts_;             ///< not answered yet
    std::map<std::string, Asked> waiting_;  ///< by the id of the entry that is being written
};

}  // namespace understudy::manager
