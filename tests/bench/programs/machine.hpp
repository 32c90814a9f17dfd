// A machine that is one process: the agent's core that ships, a connection of its own to the manager, and a performer
// that does at fixed delays what real programs do (tests/golden/fake_node.hpp). What ends it, or stops it, ends or stops
// all of it, as a hypervisor's process would.
#pragma once

#include <cstdint>
#include <string>

namespace understudy::bench {

struct MachineOptions {
    std::string manager;     ///< "tcp://127.0.0.1:7400"
    std::string server_key;  ///< Z85, the manager's
    std::string public_key;  ///< Z85, its own
    std::string secret_key;
    std::string address;     ///< of this machine's end of the connection, such as "127.0.1.7"
    std::string bare;        ///< a ROUTER that does nothing, to which the machine is connected besides; empty: none
    std::uint64_t node = 0;
    std::uint32_t slots = 4;
};

/// Runs until the process is ended.
[[noreturn]] void run_machine(const MachineOptions& options);

}  // namespace understudy::bench
