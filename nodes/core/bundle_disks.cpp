// See bundle_disks.hpp.
#include "nodes/core/bundle_disks.hpp"

#include <algorithm>
#include <utility>

namespace understudy::node {

std::vector<BundleDisk> BundleDisks::compare(const std::vector<BundleDisk>& all) {
    std::map<std::string, std::string> now;
    for (const BundleDisk& disk : all) now.insert_or_assign(disk.name, disk.serial);
    std::vector<BundleDisk> fresh;
    for (const auto& [name, serial] : now) {
        const auto known = serials_.find(name);
        if (known == serials_.end() || known->second != serial) fresh.push_back({name, serial});
    }
    serials_ = std::move(now);
    for (auto entry = mounted_.begin(); entry != mounted_.end();) {
        const auto listed = serials_.find(entry->second.disk.name);
        const bool gone = listed == serials_.end() || listed->second != entry->second.disk.serial;
        entry = gone ? mounted_.erase(entry) : std::next(entry);
    }
    return fresh;
}

void BundleDisks::note(const BundleDisk& disk, const Result<MountedBundle>& outcome) {
    const auto listed = serials_.find(disk.name);
    if (listed == serials_.end() || listed->second != disk.serial || !outcome) return;
    mounted_.insert_or_assign(outcome->environment, InUse{disk, outcome->folder});
}

std::optional<std::string> BundleDisks::folder_of(const std::string& environment) const {
    const auto entry = mounted_.find(environment);
    if (entry == mounted_.end()) return std::nullopt;
    return entry->second.folder;
}

bool ProgressWait::is_over(TimePoint now, std::uint64_t progress) {
    if (std::exchange(progress_, progress) != progress) since_ = now;
    return now - since_ >= patience_;
}

}  // namespace understudy::node
