// Copies of a session's file tree at one instant: a complete one, or what changed since the last.
// The caller has stopped everything that could write. Blocking; runs on a worker.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/result.hpp"

namespace understudy::node {

/// What tells one state of a file from another without reading it. The change time is the kernel's and
/// can't be set back by a program; the processes stand still for longer than its resolution, so a change
/// after the copy never shares it.
struct FileMark {
    std::uint32_t mode = 0;
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size_bytes = 0;
    std::int64_t modified_ns = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const FileMark&) const = default;
};

/// Path below the root → mark. Sockets are left out: whoever restores a listener makes its socket anew.
using TreeMarks = std::map<std::string, FileMark>;

/// Writes the differences between `before` and now into the file `pack`; everything, when `before` is
/// empty. Returns the marks of now. Errors: `failed` (naming file and cause; a full disk among them).
[[nodiscard]] Result<TreeMarks> pack_changes(const std::string& root, const TreeMarks& before, const std::string& pack);

/// Applies a pack to a tree that is in the state the pack was made against (or does not exist, for a
/// complete one). Nothing outside of `root` is touched whatever the pack says. Errors: `damaged`, `failed`.
[[nodiscard]] Result<> apply_pack(const std::string& root, const std::string& pack);

}  // namespace understudy::node
