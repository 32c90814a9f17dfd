// What the loop asks of hypervisors. Every call returns at once; answers come as arrivals.
#pragma once

#include "manager/core/actions.hpp"

namespace understudy::manager {

class HypervisorPort {
  public:
    virtual ~HypervisorPort() = default;
    /// Each is answered by exactly one OperationDone with its operation.
    virtual void create(const CreateInstance& action) = 0;
    virtual void resume(const ResumeInstance& action) = 0;
    virtual void scrub(const ScrubInstance& action) = 0;
    virtual void deploy(const DeployEnvironment& action) = 0;
    virtual void destroy(const DestroyInstance& action) = 0;
    virtual void fence(const FenceHost& action) = 0;
    /// Answered by exactly one HostListed.
    virtual void list(const ListInstances& action) = 0;
    /// The core knows this host under its id from now on; it may be one that the configuration has not.
    virtual void know_host(const HostRecord& host) = 0;
    /// Does anybody answer there? Nothing is changed. Answered by exactly one HostProbed with `token`.
    virtual void probe(const HostRecord& host, std::uint64_t token) = 0;
};

}  // namespace understudy::manager
