// What the person at the terminal is told while there is no live picture: one short, honest line. Pure; any thread.
#pragma once

#include <string>

#include "protocol/result.hpp"

namespace understudy::terminal {

/// What is known of why there is no picture. Empty texts: nothing of that kind.
struct Known {
    bool linked = false;       ///< the manager has accepted us
    std::string link_problem;  ///< why not, in the link's words
    bool denied = false;       ///< the manager is there and does not know our key
    std::string waiting;       ///< the manager is on it, and says this
    std::string refused;       ///< the manager will not serve this terminal, and says why
    ErrorCode refused_code = ErrorCode::refused;  ///< of what kind that is
    bool elsewhere = false;    ///< another place has the desktop
    bool moving = false;       ///< the desktop goes to another machine
    bool silent = false;       ///< connected, and the desktop does not answer
    bool pictured = false;     ///< there has been a picture since the start
};

struct Line {
    std::string text;
    bool needs_somebody = false;  ///< it will not come right by itself
};

/// Precondition: there is no live picture.
[[nodiscard]] Line line_for(const Known& known);

}  // namespace understudy::terminal
