// The files of one session: an ordinary folder tree on the guest's disk that holds everything the
// application can write. No thread of its own.
#pragma once

#include <string>

#include "nodes/agent/base/process.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// Makes what a fresh session finds: links into /usr, mount points, devices, the account's home copied
/// from the image, the program of its first process (`init_program`) and its window manager's
/// settings. Precondition: `root` does not exist. Errors: `failed` (a full disk, …).
[[nodiscard]] Result<> make_session_tree(const std::string& root, const Account& account,
                                         const std::string& init_program);

/// Removes a tree completely; trees that vanish meanwhile are fine.
void remove_tree(const std::string& path);

}  // namespace understudy::node
