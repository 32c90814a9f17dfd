// The keys that nodes named for themselves: one small file for each, STATE/keys/NODE.toml. Written by a thread of its own:
// a slow disk delays who names a key, and nobody else.
#pragma once

#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/key_keeper_port.hpp"
#include "manager/runtime/mailbox.hpp"

namespace understudy::manager {

class NodeKeyFiles : public KeyKeeperPort {
  public:
    /// Answers go to `sink`, from the thread.
    NodeKeyFiles(std::string directory, ArrivalSink sink);
    /// Does what it was asked for before.
    ~NodeKeyFiles() override;

    void keep(const NodeKeys& keys) override { orders_.push(keys); }
    void forget(NodeId node) override { orders_.push(node); }

    /// All that can be read; what cannot is described in `problems`.
    [[nodiscard]] static std::vector<NodeKeys> load_all(const std::string& directory, std::vector<std::string>& problems);

  private:
    struct Stop {};
    using Order = std::variant<NodeKeys, NodeId, Stop>;
    void run();
    [[nodiscard]] Result<> write(const NodeKeys& keys) const;
    [[nodiscard]] std::string path(NodeId node) const;

    std::string directory_;
    ArrivalSink sink_;
    Mailbox<Order> orders_;
    std::thread thread_;
};

}  // namespace understudy::manager
