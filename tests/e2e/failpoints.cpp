// Failpoints that can be armed (protocol/failpoint.hpp): when the file that the environment variable
// UNDERSTUDY_FAILPOINT_FILE names holds the name of the place that is reached, the file is removed and the process ends
// as by `kill -9`. Linked into understudyd-failpoints alone; takes the place of protocol/failpoint_off.cpp.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include <unistd.h>

#include "protocol/failpoint.hpp"

namespace understudy::failpoints {

const bool kArmable = true;

void reached(const char* name) {
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
