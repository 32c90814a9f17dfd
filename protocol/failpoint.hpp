// Failpoints: `UNDERSTUDY_FAILPOINT("records.committed")` is a place at which a test may kill this process, as
// `kill -9` would, to see that the next one goes on from there. Nothing in everything that ships; programs built
// with UNDERSTUDY_FAILPOINTS look at the file that the environment variable UNDERSTUDY_FAILPOINT_FILE names: when it
// holds the name of the place that is reached, the file is removed and the process ends.
#pragma once

#ifdef UNDERSTUDY_FAILPOINTS

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include <unistd.h>

namespace understudy::failpoints {

/// `name` nullptr: no place at all.
inline void reached(const char* name) {
    if (name == nullptr) return;
    static const char* const path = std::getenv("UNDERSTUDY_FAILPOINT_FILE");
    if (path == nullptr) return;
    std::string armed;
    std::ifstream(path) >> armed;
    if (armed != name) return;
    ::unlink(path);
    ::kill(::getpid(), SIGKILL);
    ::pause();
}

}  // namespace understudy::failpoints

#define UNDERSTUDY_FAILPOINT(name) ::understudy::failpoints::reached(name)
#define UNDERSTUDY_FAILPOINT_IF(condition, name) ::understudy::failpoints::reached((condition) ? (name) : nullptr)
#else
#define UNDERSTUDY_FAILPOINT(name) \
    do {                           \
    } while (false)
/// The condition is not looked at in what ships.
#define UNDERSTUDY_FAILPOINT_IF(condition, name) \
    do {                                         \
    } while (false)
#endif
