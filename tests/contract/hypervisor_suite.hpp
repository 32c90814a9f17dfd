// What every hypervisor adapter keeps, as one list of claims: for the one in memory, libvirt's test driver,
// the embedded QEMU driver, and hosts reached over the network.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/runtime/arrivals.hpp"

namespace understudy::test {

/// What an adapter told the loop about keys. Adapters tell it from any thread.
class Told {
  public:
    void operator()(const manager::Arrival& arrival);
    /// Keys admitted at this moment, by node.
    [[nodiscard]] std::map<NodeId, std::string> keys() const;

  private:
    mutable std::mutex mutex_;
    std::map<NodeId, std::string> keys_;
};

struct Subject {
    manager::Hypervisor& hypervisor;
    const Told& told;
    std::string host = "alpha";
    manager::Bundle bundle{"tools", "sha256:" + std::string(64, '0')};  ///< one that it can deploy
};

struct Claim {
    std::string name;
    std::function<void(const Subject&)> check;
};

/// Each claim leaves instances with numbers below kMostInstances behind.
inline constexpr std::uint64_t kMostInstances = 10;
[[nodiscard]] const std::vector<Claim>& hypervisor_suite();

/// Where instances can stand still.
[[nodiscard]] const std::vector<Claim>& paused_suite();

/// Destroys what a claim left.
void clear(const Subject& subject);

[[nodiscard]] manager::InstanceSpec small_spec(std::uint64_t id, const std::string& host = "alpha");

/// Writes a bundle of a few bytes there, which no guest could mount.
[[nodiscard]] manager::Bundle put_bundle(const std::string& folder);

template <class T>
std::string words(const Result<T>& result) {
    return result ? std::string() : result.error().message;
}

}  // namespace understudy::test
