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
    /// The core knows this host under this id from now on.
    virtual void name_host(HostId host, const std::string& name) = 0;
};

}  // namespace understudy::manager
