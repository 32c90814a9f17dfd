// Starts processes so that none outlives the agent: each dies with the thread that started it, sits in
// a control group of its own, and is watched through a pidfd. No thread of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

struct Account {
    uid_t user = 0;
    gid_t group = 0;
    std::string home = "/root";
    std::string name = "root";
};

/// Errors: `not_found`.
[[nodiscard]] Result<Account> find_account(const std::string& name);

struct Spawn {
    std::vector<std::string> command;             ///< first word: looked for in the PATH of `environment`
    std::map<std::string, std::string> environment;
    std::map<int, int> descriptors;               ///< number in the new process → ours; 0..2 not named: /dev/null
    std::uint64_t namespaces = 0;                 ///< CLONE_NEW… flags
    int cgroup = -1;                              ///< descriptor of its group; -1: ours
    int nice = 0;                                 ///< of the agent's own urgency it inherits nothing
    const Account* account = nullptr;             ///< not given: as we are
    std::string folder = "/";
};

struct Child {
    pid_t pid = -1;
    Descriptor pidfd;
    Descriptor problem;  ///< what kept the program from starting, as an errno; take_end() reads it
};

/// How a process ended.
struct ProcessEnd {
    bool known = false;   ///< false: it was not our child
    bool signalled = false;
    int number = 0;       ///< exit code or signal
    int problem = 0;      ///< errno of what kept the program from starting; 0: it was started
    [[nodiscard]] bool clean() const { return known && !signalled && number == 0; }
};

/// The process is killed when the calling *thread* ends: call it from a thread that lives as long as
/// the agent wants the process to live. Returns before the program is loaded, which takes long on a busy machine: what
/// keeps it from starting is seen at its end. Errors: `not_found` (program), `failed` (in the words of the kernel).
[[nodiscard]] Result<Child> spawn(const Spawn& what);

/// Takes the exit status of an ended child. Precondition: its pidfd is readable.
[[nodiscard]] ProcessEnd take_end(const Child& child);

/// "ended with status 3", "was killed by signal 11 (Segmentation fault)", "could not be started: Permission denied".
[[nodiscard]] std::string describe(const ProcessEnd& end);

/// PATH and LANG, as every program of ours gets them.
[[nodiscard]] std::map<std::string, std::string> plain_environment();

}  // namespace understudy::node
