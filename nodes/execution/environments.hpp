// Environments on this node: read-only disks that the hypervisor attaches while the machine runs. Each is
// verified against the digest that its serial number begins with, and mounted under its name. Owned by the
// agent's main thread; reading and mounting are a worker's.
//
// A bundle is a read-only file system image, followed by one block of 4096 bytes of text padded with NUL:
//   understudy-environment 1
//   name NAME
//   filesystem erofs
// Its digest is the SHA-256 of everything, block included; the disk's serial number is the first 20 digits.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/lifeline.hpp"
#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/base/worker.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// The last block of a bundle. Errors: `damaged`.
struct BundleLabel {
    std::string name;
    std::string filesystem;
};
[[nodiscard]] Result<BundleLabel> read_label(std::string_view block);

/// Reads a bundle (or the disk it is on) to its end. Errors: `damaged` (the digest does not begin with
/// `serial`, or the label), `failed` (the system's words).
[[nodiscard]] Result<BundleLabel> verify_bundle(const std::string& path, const std::string& serial);

class Environments {
  public:
    using Log = std::function<void(const std::string& level, const std::string& words)>;

    /// Looks at disks that are there, and from then on at those that come. `folder`: where they are mounted.
    Environments(Loop& loop, std::string folder, Log log);
    ~Environments();
    Environments(const Environments&) = delete;
    Environments& operator=(const Environments&) = delete;

    /// Calls `then` once the environment of that name is there, at once when it is, or when it did not come
    /// within seconds: a disk that was just attached takes a moment.
    void when_there(const std::string& name, std::function<void()> then);
    [[nodiscard]] bool there(const std::string& name) const;

  private:
    struct Waiting {
        Loop::Id timer = 0;
        std::function<void()> then;
    };

    void listen();
    void hear();
    void consider(const std::string& disk);
    void note_mounted(const std::string& disk, const Result<std::string>& name);
    void go_on(const std::string& name);

    Loop& loop_;
    std::string folder_;
    Log log_;
    Descriptor events_;
    Loop::Id watch_ = 0;
    std::multimap<std::string, Waiting> waiting_;  ///< by name
    Worker worker_{5};  ///< reads and sums up whole bundles: what runs on this node comes first
    Lifeline lifeline_;
};

}  // namespace understudy::node
