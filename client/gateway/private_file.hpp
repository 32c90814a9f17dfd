// Files that nobody but the gateway's own account may read: keys, accounts, sessions. Plain functions; any thread.
#pragma once

#include <optional>
#include <string>

#include "protocol/result.hpp"

namespace understudy::gateway {

/// Makes the folder, readable by its owner alone, if it is not there. Errors: `failed`, `refused` (others may
/// read or write it).
[[nodiscard]] Result<> make_private_folder(const std::string& path);

/// Who may be able to read a secret beside us: nobody, or a group, as for a key that several services share.
enum class Readers { owner, group };

/// The whole file; nothing if there is none. Errors: `failed` (in the system's words), `refused` (others may
/// read it: what is in it is no secret any more), `limit` (larger than any file of ours).
[[nodiscard]] Result<std::optional<std::string>> read_private_file(const std::string& path, Readers readers = Readers::owner);

/// Gives a file that root has made to the owner of its folder: what an administrator writes for the gateway, its own
/// account must be able to read and to go on with. Nothing for anybody but root. Errors: `failed`.
[[nodiscard]] Result<> give_to_owner_of_folder(int descriptor, const std::string& path);

enum class Readable { by_owner, by_all };

/// Puts a file in the place of an older one in one step, synced, so that a reader finds the old or the new one
/// and never half of it. Errors: `failed`, in the system's words; the older file is still there then.
[[nodiscard]] Result<> replace_private_file(const std::string& path, const std::string& text,
                                            Readable readable = Readable::by_owner);

}  // namespace understudy::gateway
