// See checkpoint_store.hpp.
#include "nodes/execution/checkpoint_store.hpp"

#include <algorithm>
#include <set>

namespace understudy::node {
namespace {

constexpr std::size_t kKept = 2;

}  // namespace

void CheckpointStore::add(CheckpointMeta meta) {
    const auto id = meta.info.id;
    complete_.insert_or_assign(id, std::move(meta));
}

const CheckpointMeta* CheckpointStore::find(CheckpointId id) const {
    const auto found = complete_.find(id);
    return found == complete_.end() ? nullptr : &found->second;
}

const CheckpointMeta* CheckpointStore::newest() const { return complete_.empty() ? nullptr : &complete_.rbegin()->second; }

std::vector<CheckpointId> CheckpointStore::ids() const {
    std::vector<CheckpointId> all;
    for (const auto& [id, meta] : complete_) all.push_back(id);
    return all;
}

std::vector<CheckpointMeta> CheckpointStore::chain(CheckpointId id) const {
    std::vector<CheckpointMeta> links;
    for (const CheckpointMeta* link = find(id); link != nullptr; link = find(link->parent)) {
        links.push_back(*link);
        if (link->parent == CheckpointId{}) {
            std::reverse(links.begin(), links.end());
            return links;
        }
        if (link->parent >= link->info.id) break;  // would go round in circles
    }
    return {};
}

std::vector<CheckpointInfo> CheckpointStore::held() const {
    std::vector<CheckpointInfo> infos;
    for (auto entry = complete_.rbegin(); entry != complete_.rend() && infos.size() < kKept; ++entry) {
        if (!chain(entry->first).empty()) infos.push_back(entry->second.info);
    }
    std::reverse(infos.begin(), infos.end());
    return infos;
}

std::vector<std::string> CheckpointStore::take_superfluous() {
    std::set<CheckpointId> needed;
    for (const auto& info : held()) {
        for (const auto& link : chain(info.id)) needed.insert(link.info.id);
    }
    std::vector<std::string> folders;
    for (auto entry = complete_.begin(); entry != complete_.end();) {
        if (needed.contains(entry->first)) {
            ++entry;
        } else {
            folders.push_back(path(entry->first));
            entry = complete_.erase(entry);
        }
    }
    return folders;
}

}  // namespace understudy::node
