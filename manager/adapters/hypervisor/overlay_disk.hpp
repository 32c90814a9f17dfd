// Disks that hold what differs from another one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/result.hpp"

namespace understudy::manager {

/// What an overlay lies upon.
struct Backing {
    std::string path;
    const char* format;  ///< as qemu-img calls it
};

/// Makes the qcow2 file `disk` upon `backing`; `size_bytes` none: as large as that. Takes at most 30 s.
/// Errors: `failed`, in the words of qemu-img.
[[nodiscard]] Result<void> make_overlay(const Backing& backing, const std::string& disk, std::optional<std::uint64_t> size_bytes = {});

}  // namespace understudy::manager
