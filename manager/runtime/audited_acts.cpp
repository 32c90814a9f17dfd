// See audited_acts.hpp.
#include "manager/runtime/audited_acts.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kMostActs = 1024;

bool is_reason(const std::string& argument) { return argument.starts_with("reason="); }

}  // namespace

std::string AuditedActs::next_id() { return std::to_string(incarnation_) + "." + std::to_string(++last_); }

bool AuditedActs::give_up_oldest(std::int64_t wall_ms) {
    auto oldest = acts_.end();
    for (auto act = acts_.begin(); act != acts_.end(); ++act) {
        if (!act->second.waits && (oldest == acts_.end() || act->second.number < oldest->second.number)) oldest = act;
    }
    if (oldest == acts_.end()) return false;
    audit_.end({oldest->second.id, wall_ms, static_cast<std::uint32_t>(ErrorCode::unknown_outcome), "no answer to it was seen"});
    acts_.erase(oldest);
    return true;
}

AuditedActs::Taken AuditedActs::take(const ClientMessage& said, const AdminRequest& request, const std::string& by, const Intent& intent,
                                     std::int64_t wall_ms) {
    const Asked asked{said.from, request.request};
    if (const auto known = acts_.find(asked); known != acts_.end()) return known->second.waits ? Taken::recording : Taken::known;
    if (acts_.size() >= kMostActs && !give_up_oldest(wall_ms)) return Taken::too_many;
    AuditEntry entry{next_id(), wall_ms, said.name, to_string(said.role), by, request.verb, {}, intent.reason};
    for (const std::string& argument : request.arguments) {
        if (!is_reason(argument)) entry.arguments.push_back(argument);
    }
    acts_.emplace(asked, Act{last_, entry.id, intent, request.verb, said.name, when_unrecorded(request), true});
    waiting_.emplace(entry.id, asked);
    audit_.begin(entry);
    return Taken::recording;
}

std::optional<AuditedActs::Ready> AuditedActs::recorded(const std::string& id) {
    const auto waiting = waiting_.find(id);
    if (waiting == waiting_.end()) return std::nullopt;
    const auto act = acts_.find(waiting->second);
    waiting_.erase(waiting);
    if (act == acts_.end()) return std::nullopt;
    act->second.waits = false;
    return Ready{act->second.intent, act->second.verb, act->second.who, act->second.unrecorded};
}

void AuditedActs::answered(ClientId client, const AdminReply& reply, std::int64_t wall_ms) {
    const auto act = acts_.find({client, reply.request});
    if (act == acts_.end() || act->second.waits) return;
    audit_.end({act->second.id, wall_ms, reply.code, reply.text});
    acts_.erase(act);
}

void AuditedActs::note(const std::string& verb, std::vector<std::string> arguments, const std::string& text, std::int64_t wall_ms) {
    const std::string id = next_id();
    audit_.begin({id, wall_ms, "configuration", {}, {}, verb, std::move(arguments), {}});
    audit_.end({id, wall_ms, 0, text});
}

}  // namespace understudy::manager
