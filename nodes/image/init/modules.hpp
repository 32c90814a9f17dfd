// Loads the kernel modules that build-image put into the initramfs. No thread of its own.
#pragma once

#include <string>

#include "outcome.hpp"

namespace understudy::guest {

/// Loads the modules named in `list`, one file name a line, in that order, all relative to the open
/// directory `initramfs`. A module that is there already is no error. Goes on after a failure and
/// returns the first one: one driver missing must not take the others with it.
[[nodiscard]] Outcome load_modules(int initramfs, const std::string& list);

}  // namespace understudy::guest
