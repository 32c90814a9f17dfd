// Failpoints: `UNDERSTUDY_FAILPOINT("records.committed")` is a place at which a test may kill this process, as
// `kill -9` would, to see that the next one goes on from there. Whether that is possible at all is decided when a
// program is linked: `kArmable` is false in everything that ships (protocol/failpoint_off.cpp). The program for
// those tests is linked with tests/e2e/failpoints.cpp.
#pragma once

namespace understudy::failpoints {

/// Can failpoints be armed in this program? Never changes while it runs.
extern const bool kArmable;

/// Ends the process when `name` is the place that is armed; `name` nullptr: no place at all. Precondition: kArmable.
void reached(const char* name);

}  // namespace understudy::failpoints

/// `name` is evaluated where failpoints can be armed alone.
#define UNDERSTUDY_FAILPOINT(name)                                                           \
    do {                                                                                     \
        if (::understudy::failpoints::kArmable) [[unlikely]] ::understudy::failpoints::reached(name); \
    } while (false)
#define UNDERSTUDY_FAILPOINT_IF(condition, name) UNDERSTUDY_FAILPOINT((condition) ? (name) : nullptr)
