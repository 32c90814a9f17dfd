// Planted bugs: `if (UNDERSTUDY_PLANTED("name"))` is where the simulator may switch a realistic mistake on,
// to show that its oracles catch it. Constant false in everything that ships; the test program that plants
// bugs is compiled with UNDERSTUDY_PLANTED_BUGS. The choice belongs to the thread that makes it.
#pragma once

#ifdef UNDERSTUDY_PLANTED_BUGS

#include <string>
#include <string_view>

namespace understudy::planted {

/// The bug this thread has switched on; empty: none.
inline std::string& selected() {
    thread_local std::string name;
    return name;
}

inline bool active(std::string_view name) { return selected() == name; }

}  // namespace understudy::planted

#define UNDERSTUDY_PLANTED(name) ::understudy::planted::active(name)
#else
#define UNDERSTUDY_PLANTED(name) false
#endif
