// "What if?": the deciding core is a value, so it is copied, the copy is told what might happen, and what it
// decides is read and thrown away. Around the copy everybody else does well: operations succeed, agents do at
// once what they are told, nobody else fails. So a rehearsal says where things would go and what would not
// fit; how long that takes comes from incidents that really happened. Pure.
#pragma once

#include <string>
#include <vector>

#include "manager/core/core.hpp"

namespace understudy::manager {

/// One session, or one terminal's desktop, that would go on somewhere else (or begin anew where it is).
struct RehearsedMove {
    TerminalId terminal;
    SessionId session;         ///< none: the terminal's desktop
    NodeId from;               ///< none: it had no place
    NodeId to;
    HostId to_host;
    std::string to_name;       ///< of a machine that may not exist outside the rehearsal
    bool to_new_machine = false;
    std::string decision;      ///< as the flight recorder would keep it
    std::string lost;
    std::vector<std::string> alternatives;
    Duration expected{0};      ///< until a picture of it is seen; 0: nothing like it was measured yet
};

/// What would have no place, and why.
struct RehearsedLack {
    TerminalId terminal;
    SessionId session;  ///< none: the terminal's desktop
    std::string reason;
};

/// What would go on, with fewer backups than its profile wants.
struct RehearsedThinning {
    TerminalId terminal;
    SessionId session;
    std::uint32_t backups = 0;
    std::uint32_t wanted = 0;
    std::string reason;
};

struct Rehearsal {
    std::uint32_t code = 0;  ///< of the answer an act would get; 0: done
    std::string text;        ///< that answer
    std::vector<RehearsedMove> moves;
    std::vector<RehearsedLack> lacks;
    std::vector<RehearsedThinning> thinnings;
    std::uint32_t instances_lost = 0;  ///< that exist now and would not any more
    std::uint32_t instances_made = 0;
    std::uint32_t backups_renewed = 0; ///< backups that would be set up elsewhere
    Duration expected{0};              ///< until the last move is seen; 0: nothing like it was measured yet
    std::uint32_t measured_from = 0;   ///< incidents that `expected` rests on
    bool complete = true;              ///< false: the bound on its work was reached first
};

/// As if `host` died at `now`, with certainty: every instance on it ended, and it answers no more.
/// Precondition: the core was started; `now` is not before its last moment. Cost: a copy of the state, and
/// deciding for what lives on that host; bounded.
[[nodiscard]] Rehearsal rehearse_loss(const Core& core, HostId host, Moment now);

/// As if an administrator's wish was granted now.
[[nodiscard]] Rehearsal rehearse(const Core& core, const Wish& wish, Moment now);

}  // namespace understudy::manager
