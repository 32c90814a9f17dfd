// Which disks with bundles of environments a node has, and how far each is: listed, verified and mounted, or refused.
// Pure: what the system lists goes in, what is to be verified comes out. The whole list is compared each time, so that
// no single message about a disk matters.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/result.hpp"
#include "protocol/time.hpp"

namespace understudy::node {

/// A disk of the node as the system lists it.
struct BundleDisk {
    std::string name;    ///< "vdd"
    std::string serial;  ///< the first digits of its content's digest
    bool operator==(const BundleDisk&) const = default;
};

/// A bundle that is in use.
struct MountedBundle {
    std::string environment;  ///< its name
    std::string folder;       ///< where its files are: a mount itself, no link to one
};

class BundleDisks {
  public:
    /// `all`: every disk that is there now, in any order. Returns those that were not there before, to be verified in
    /// this order. One that is gone is forgotten; a name that has another serial is another disk.
    [[nodiscard]] std::vector<BundleDisk> compare(const std::vector<BundleDisk>& all);

    /// What came of the verification of that disk; of a disk that is gone it changes nothing. Of two bundles with one
    /// name the one that was mounted last counts.
    void note(const BundleDisk& disk, const Result<MountedBundle>& outcome);

    /// Where the files of the environment of that name are; none: it is not mounted.
    [[nodiscard]] std::optional<std::string> folder_of(const std::string& environment) const;

  private:
    std::map<std::string, std::string> serials_;  ///< of disks that are there, by the disk's name
    struct InUse {
        BundleDisk disk;
        std::string folder;
    };
    std::map<std::string, InUse> mounted_;  ///< by the environment's name
};

/// How long to wait for an environment: as long as there is progress, and a fixed time after it has ceased.
class ProgressWait {
  public:
    ProgressWait(TimePoint now, std::uint64_t progress, Duration patience) : since_(now), progress_(progress), patience_(patience) {}
    /// `progress`: a figure that changes with all work that is done. True: nothing was done for the whole patience.
    [[nodiscard]] bool is_over(TimePoint now, std::uint64_t progress);

  private:
    TimePoint since_;  ///< of the last progress
    std::uint64_t progress_;
    Duration patience_;
};

}  // namespace understudy::node
