// See words.hpp. The web terminal says the same things in the same words (client/gateway/pages/terminal.js).
#include "client/terminal/words.hpp"

namespace understudy::terminal {

Line line_for(const Known& known) {
    if (known.elsewhere) return {"This desktop is open at another place now. Press Enter or click to have it here.", true};
    if (known.denied) return {"This terminal may not connect: " + known.link_problem, true};
    if (!known.refused.empty()) return {"This terminal cannot be served: " + known.refused, true};
    if (!known.waiting.empty()) {
        return {(known.pictured ? "Your desktop will be back as soon as possible: " : "Getting your desktop ready: ") + known.waiting};
    }
    if (known.silent) return {"Your desktop does not answer at the moment…"};
    if (known.moving) return {"Your desktop is moving to another machine…"};
    if (known.pictured) return {"Reconnecting to your desktop…"};
    if (!known.linked && !known.link_problem.empty()) return {"Waiting for the manager: " + known.link_problem};
    return {"Getting your desktop ready…"};
}

}  // namespace understudy::terminal
