// The complete checkpoints of one session on this node: which there are, which are still needed, and
// where they lie. Knows folders only; reading and writing them is done by workers.
// Owned by the agent's main thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nodes/execution/checkpoint_meta.hpp"

namespace understudy::node {

class CheckpointStore {
  public:
    CheckpointStore() = default;
    explicit CheckpointStore(std::string folder) : folder_(std::move(folder)) {}

    /// FOLDER/3-17
    [[nodiscard]] std::string path(CheckpointId id) const { return folder_ + "/" + folder_of(id); }
    [[nodiscard]] const std::string& folder() const { return folder_; }

    /// Precondition: the folder of this checkpoint is complete and has its final name.
    void add(CheckpointMeta meta);

    [[nodiscard]] const CheckpointMeta* find(CheckpointId id) const;
    [[nodiscard]] const CheckpointMeta* newest() const;
    [[nodiscard]] std::vector<CheckpointId> ids() const;

    /// From the one that is complete in itself to `id`; empty when a link is missing.
    [[nodiscard]] std::vector<CheckpointMeta> chain(CheckpointId id) const;

    /// The newest two whose chains are complete, newest last: what a status reports.
    [[nodiscard]] std::vector<CheckpointInfo> held() const;

    /// Forgets what neither of the newest two needs; the caller removes these folders.
    [[nodiscard]] std::vector<std::string> take_superfluous();

  private:
    std::string folder_;
    std::map<CheckpointId, CheckpointMeta> complete_;
};

}  // namespace understudy::node
