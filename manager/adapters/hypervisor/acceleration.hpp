// Whether KVM really works here: not believed, but tried once by booting something tiny. Any thread.
#pragma once

#include <string>

#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/adapters/hypervisor/instance_files.hpp"

namespace understudy::manager {

/// Decides by `options.acceleration`. "auto" looks at `cache_file` first; a verdict there counts while
/// kernel, QEMU and guest kernel are the same. Otherwise it boots the guest's kernel and initramfs without
/// disks under KVM, at most ten seconds, until its process 1 has spoken. Blocks for that long.
[[nodiscard]] AccelerationVerdict judge_acceleration(const InstanceFiles& files, const std::string& cache_file);

}  // namespace understudy::manager
