// Planted bugs: `if (UNDERSTUDY_PLANTED("name"))` is where the simulator may switch a realistic mistake on,
// to show that its oracles catch it. Whether that is possible at all is decided when a program is linked: `kPlantable`
// is false in everything that ships (protocol/planted_off.cpp), and then nothing can switch one on. The choice
// belongs to the thread that makes it.
#pragma once

#include <string_view>

namespace understudy::planted {

/// Can bugs be switched on in this program? Never changes while it runs.
extern const bool kPlantable;

/// Has the calling thread switched this bug on?
[[nodiscard]] bool active(std::string_view name);

}  // namespace understudy::planted

#define UNDERSTUDY_PLANTED(name) (::understudy::planted::kPlantable && ::understudy::planted::active(name))
