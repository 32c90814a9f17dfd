// Environments on this node: read-only disks that the hypervisor attaches while the machine runs. Each is
// verified against the digest that its serial number begins, once as long as the machine runs, and mounted.
// Owned by the agent's main thread; reading and mounting are a worker's.
//
// A bundle is a read-only file system image, followed by one block of 4096 bytes of text padded with NUL:
//   understudy-environment 1
//   name NAME
//   filesystem erofs
// Its digest is the SHA-256 of everything, block included; the disk's serial number is the first 20 digits.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/lifeline.hpp"
#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/base/worker.hpp"
#include "nodes/core/bundle_disks.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// The last block of a bundle. Errors: `damaged`.
struct BundleLabel {
    std::string name;
    std::string filesystem;
};
[[nodiscard]] Result<BundleLabel> read_label(std::string_view block);

/// Reads a bundle (or the disk it is on) to its end; `progress` rises with every byte. Errors: `damaged` (the digest
/// does not begin with `serial`, or the label), `failed` (the system's words).
[[nodiscard]] Result<BundleLabel> verify_bundle(const std::string& path, const std::string& serial, std::atomic<std::uint64_t>& progress);

class Environments {
  public:
    using Log = std::function<void(const std::string& level, const std::string& words)>;

    /// Looks at disks that are there, and from then on at those that come. `folder`: where they are mounted.
    Environments(Loop& loop, std::string folder, Log log);
    ~Environments();
    Environments(const Environments&) = delete;
    Environments& operator=(const Environments&) = delete;

    /// Calls `then` once the environment of that name is there, at once when it is, or when it did not come and nothing
    /// was read of any disk for some seconds: a disk that was just attached takes a moment, and a large one many.
    void when_there(const std::string& name, std::function<void()> then);

    /// The folder that the environment of that name is mounted on; none: it is not there.
    [[nodiscard]] std::optional<std::string> folder_of(const std::string& name) const { return disks_.folder_of(name); }

  private:
    struct Waiting {
        std::string name;
        std::function<void()> then;
        ProgressWait wait;
    };

    void listen();
    void hear();
    void look();
    void look_later();
    void verify(const BundleDisk& disk);
    void note(const BundleDisk& disk, const Result<MountedBundle>& outcome, Duration took);
    void go_on();

    Loop& loop_;
    std::string folder_;
    Log log_;
    Descriptor events_;
    Loop::Id watch_ = 0;
    Loop::Id next_look_ = 0;  ///< while somebody waits
    BundleDisks disks_;
    std::list<Waiting> waiting_;
    // Shared with the worker, which may outlive this by one job.
    std::shared_ptr<std::atomic<std::uint64_t>> progress_ = std::make_shared<std::atomic<std::uint64_t>>(0);  ///< bytes verified, plus disks done
    Worker worker_{5};  ///< reads and sums up whole bundles: what runs on this node comes first
    Lifeline lifeline_;
};

}  // namespace understudy::node
