// What is known about one checkpoint: written next to its files, and sent ahead of them to a backup.
// Values and pure functions, but for the ones that read and write files (blocking; on a worker).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/codec.hpp"
#include "protocol/fields.hpp"
#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

struct CheckpointFile {
    std::string name;    ///< below the checkpoint's folder: "files.pack", "images/core-1.img"
    std::uint64_t bytes = 0;
    std::string digest;  ///< BLAKE2b, 32 bytes, hexadecimal
    UNDERSTUDY_FIELDS(CheckpointFile, name, bytes, digest)
};

struct CheckpointMeta {
    SessionId session;
    CheckpointInfo info;
    CheckpointId parent;                       ///< {0,0}: complete in itself
    std::string application;
    std::vector<std::uint64_t> outer_sockets;  ///< inodes of window connections, dead after a restore
    std::vector<CheckpointFile> files;
    UNDERSTUDY_FIELDS(CheckpointMeta, session, info, parent, application, outer_sockets, files)
};

struct CheckpointList {
    std::vector<CheckpointId> ids;
    UNDERSTUDY_FIELDS(CheckpointList, ids)
};

struct CheckpointVerdict {
    CheckpointId id;
    bool stored = false;
    std::string reason;
    UNDERSTUDY_FIELDS(CheckpointVerdict, id, stored, reason)
};

/// "3-17": the folder's name.
[[nodiscard]] std::string folder_of(CheckpointId id);

[[nodiscard]] Bytes to_bytes(const CheckpointMeta& value);
[[nodiscard]] Bytes to_bytes(const CheckpointList& value);
[[nodiscard]] Bytes to_bytes(const CheckpointVerdict& value);
[[nodiscard]] Result<CheckpointMeta> meta_from(BytesView bytes);
[[nodiscard]] Result<CheckpointList> list_from(BytesView bytes);
[[nodiscard]] Result<CheckpointVerdict> verdict_from(BytesView bytes);

/// A file name of a checkpoint that can't lead out of its folder: "files.pack" or "images/NAME".
[[nodiscard]] bool is_safe_name(const std::string& name);

/// A running digest.
class Digest {
  public:
    Digest();
    void add(BytesView bytes);
    [[nodiscard]] std::string finish();

  private:
    alignas(64) unsigned char state_[384];
};

/// Lists `folder` (files.pack and images/) with sizes and digests. Errors: `failed`.
[[nodiscard]] Result<std::vector<CheckpointFile>> digest_files(const std::string& folder);

/// Writes or reads FOLDER/meta. Errors: `failed`, `damaged`.
[[nodiscard]] Result<> write_meta(const std::string& folder, const CheckpointMeta& meta);
[[nodiscard]] Result<CheckpointMeta> read_meta(const std::string& folder);

}  // namespace understudy::node
