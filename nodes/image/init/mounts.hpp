// The file systems of a guest: from the initramfs to a complete tree. No thread of its own.
#pragma once

#include <string>

#include "kernel_line.hpp"
#include "outcome.hpp"

namespace understudy::guest {

/// Mounts /proc, /sys and /dev of the initramfs. Precondition: called once, first of all.
[[nodiscard]] Outcome mount_kernel_trees();

/// Mounts the root disk named by `root=` (default /dev/vda, ext4), moves the kernel's trees into it and
/// makes it the root of process 1. Waits a bounded time for the disk to appear.
[[nodiscard]] Outcome enter_root_disk(const KernelLine& line);

/// Lets the root file system grow to its disk, when an instance was given a larger disk than the base
/// image has. Nothing to do is success.
[[nodiscard]] Outcome grow_root(const KernelLine& line);

/// Mounts what a running system needs besides: shm, pts, run, tmp (bounded), control groups.
[[nodiscard]] Outcome mount_runtime_trees();

/// Mounts the disk with our programs read-only at /opt/understudy.
[[nodiscard]] Outcome mount_programs(const std::string& disk);

/// Copies the seed, text padded with NUL, from a raw disk into `file`, readable by root alone.
[[nodiscard]] Outcome copy_seed(const std::string& disk, const std::string& file);

/// Writes everything out and leaves the disks clean. Nothing but process 1 may be running.
void leave_file_systems();

}  // namespace understudy::guest
