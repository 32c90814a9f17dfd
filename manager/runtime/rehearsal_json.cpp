// See rehearsal_json.hpp.
#include "manager/runtime/rehearsal_json.hpp"

#include <nlohmann/json.hpp>

namespace understudy::manager {
namespace {

using Json = nlohmann::ordered_json;

/// A message must hold the answer whatever is lost: beyond this, only counted.
constexpr std::size_t kMostListed = 400;

class Namer {
  public:
    explicit Namer(const State& state) : state_(state) {}

    [[nodiscard]] std::string terminal(TerminalId id) const {
        const TerminalRecord* record = state_.terminals.find(id);
        return record == nullptr ? to_string(id) : record->name;
    }
    [[nodiscard]] std::string what(SessionId id) const {
        const SessionRecord* record = state_.sessions.find(id);
        return !id ? "desktop" : record == nullptr ? to_string(id) : record->application.title;
    }
    [[nodiscard]] std::string node(NodeId id) const {
        const NodeRecord* record = state_.nodes.find(id);
        return record == nullptr ? std::string() : record->name;
    }
    [[nodiscard]] std::string host(HostId id) const {
        const HostRecord* record = state_.hosts.find(id);
        return record == nullptr ? std::string() : record->name;
    }

  private:
    const State& state_;
};

Json who(const Namer& name, TerminalId terminal, SessionId session) {
    return {{"terminal", name.terminal(terminal)}, {"session", session.value}, {"what", name.what(session)}};
}

}  // namespace

std::string rehearsal_json(const State& state, const Rehearsal& rehearsal, const std::string& title, std::int64_t made_wall_ms) {
    const Namer name(state);
    Json moves = Json::array();
    for (const RehearsedMove& move : rehearsal.moves) {
        if (moves.size() >= kMostListed) break;
        Json entry = who(name, move.terminal, move.session);
        entry["from"] = name.node(move.from);
        entry["to"] = move.to_name;
        entry["to_host"] = name.host(move.to_host);
        entry["to_new_machine"] = move.to_new_machine;
        entry["decision"] = move.decision;
        entry["lost"] = move.lost;
        entry["expected_us"] = move.expected.count();
        entry["alternatives"] = move.alternatives;
        moves.push_back(std::move(entry));
    }
    Json lacks = Json::array();
    for (const RehearsedLack& lack : rehearsal.lacks) {
        if (lacks.size() >= kMostListed) break;
        Json entry = who(name, lack.terminal, lack.session);
        entry["reason"] = lack.reason;
        lacks.push_back(std::move(entry));
    }
    Json thinnings = Json::array();
    for (const RehearsedThinning& thinning : rehearsal.thinnings) {
        if (thinnings.size() >= kMostListed) break;
        Json entry = who(name, thinning.terminal, thinning.session);
        entry["backups"] = thinning.backups;
        entry["wanted"] = thinning.wanted;
        entry["reason"] = thinning.reason;
        thinnings.push_back(std::move(entry));
    }
    const Json json{{"title", title}, {"made_wall_ms", made_wall_ms}, {"code", rehearsal.code}, {"text", rehearsal.text},
                    {"counts", {{"moves", rehearsal.moves.size()}, {"without_place", rehearsal.lacks.size()},
                                {"fewer_backups", rehearsal.thinnings.size()}, {"instances_lost", rehearsal.instances_lost},
                                {"instances_made", rehearsal.instances_made}, {"backups_renewed", rehearsal.backups_renewed}}},
                    {"expected_us", rehearsal.expected.count()}, {"measured_from", rehearsal.measured_from},
                    {"complete", rehearsal.complete}, {"moves", std::move(moves)}, {"without_place", std::move(lacks)},
                    {"fewer_backups", std::move(thinnings)}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace understudy::manager
