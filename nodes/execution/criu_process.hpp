// One `criu swrk` process and the socket to talk to it. Started by the main thread (so that what it
// restores dies with the agent), talked to by a worker.
#pragma once

#include <memory>
#include <string>

#include "nodes/agent/base/process.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

class CriuProcess {
  public:
    /// To dump a session. Errors: `not_found`, `failed`.
    [[nodiscard]] static Result<std::unique_ptr<CriuProcess>> start_for_dump();

    /// To restore into the tree `root`, in control group `cgroup`. `dead_sockets` connections whose other
    /// end is closed are ready as descriptors first_dead_socket()… of that process.
    [[nodiscard]] static Result<std::unique_ptr<CriuProcess>> start_for_restore(const std::string& programs_folder,
                                                                                const std::string& root, int cgroup,
                                                                                std::size_t dead_sockets);
    /// Kills it if it still runs, and waits for its end, which can take the kernel long: not for the agent's loop.
    ~CriuProcess();
    CriuProcess(const CriuProcess&) = delete;
    CriuProcess& operator=(const CriuProcess&) = delete;

    /// Kills it and lets go whoever waits for its answer; does not wait.
    void cut() const;

    [[nodiscard]] int socket() const { return socket_.get(); }
    [[nodiscard]] static int first_dead_socket() { return 20; }

  private:
    CriuProcess() = default;
    [[nodiscard]] static Result<std::unique_ptr<CriuProcess>> start(std::vector<std::string> command, int cgroup, int nice,
                                                                    std::map<int, int> descriptors);
    Descriptor socket_;
    Child child_;
};

}  // namespace understudy::node
