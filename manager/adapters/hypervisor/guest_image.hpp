// The guest image as nodes/image/build-image leaves it: kernel, initramfs, root disks, and a manifest with
// their digests. Any thread.
#pragma once

#include <string>

#include "manager/adapters/system/content_digests.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// A file whose content is known.
struct KnownFile {
    std::string path;    ///< its real name
    std::string digest;  ///< SHA-256, hexadecimal
};

class GuestImage {
  public:
    /// `digests` outlives this.
    GuestImage(std::string directory, ContentDigests& digests) : directory_(std::move(directory)), digests_(digests) {}

    /// The real name of a file of the image: a newer image must not change what an instance runs on.
    /// Errors: `not_found` says how to make it.
    [[nodiscard]] Result<std::string> file(const std::string& name) const;

    /// The same, and its content is what the manifest says. Errors: also `damaged`, and `not_found` when the
    /// manifest is missing or does not name it.
    [[nodiscard]] Result<KnownFile> verified(const std::string& name) const;

    /// The kernel command line. Errors: as file().
    [[nodiscard]] Result<std::string> command_line() const;

  private:
    std::string directory_;
    ContentDigests& digests_;
};

}  // namespace understudy::manager
