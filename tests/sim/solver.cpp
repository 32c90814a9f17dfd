// See solver.hpp. Method: first-fit with the least used host first.
#include "tests/sim/solver.hpp"

#include <algorithm>

namespace understudy::sim {
namespace {

struct Machine {
    std::uint32_t host = 0;
    std::uint32_t role = 0;
    std::uint32_t used = 0;
};

class Packing {
  public:
    explicit Packing(const SiteShape& site)
        : site_(site), room_(site.instances_per_host), left_(site.instances_at_most) {}

    /// Places one thing of `role` away from `hosts` and machines in `taken`; remembers where.
    bool place(std::uint32_t role, std::int64_t away_from_host, std::vector<std::size_t>& taken) {
        for (std::size_t i = 0; i < machines_.size(); ++i) {
            Machine& machine = machines_[i];
            if (machine.role != role || machine.used >= site_.slots || machine.host == away_from_host) continue;
            if (std::find(taken.begin(), taken.end(), i) != taken.end()) continue;
            ++machine.used;
            taken.push_back(i);
            return true;
        }
        std::int64_t best = -1;
        for (std::size_t host = 0; host < room_.size(); ++host) {
            if (room_[host] == 0 || static_cast<std::int64_t>(host) == away_from_host) continue;
            if (best < 0 || room_[host] > room_[static_cast<std::size_t>(best)]) best = static_cast<std::int64_t>(host);
        }
        if (best < 0 || left_ == 0) return false;
        --left_;
        --room_[static_cast<std::size_t>(best)];
        machines_.push_back({static_cast<std::uint32_t>(best), role, 1});
        taken.push_back(machines_.size() - 1);
        return true;
    }

    [[nodiscard]] std::uint32_t host_of(std::size_t machine) const { return machines_[machine].host; }

    bool place_group(std::uint32_t role, std::uint32_t backups) {
        std::vector<std::size_t> taken;
        if (!place(role, -1, taken)) return false;
        const std::int64_t host = host_of(taken.front());
        for (std::uint32_t i = 0; i < backups; ++i) {
            if (!place(role, host, taken)) return false;
        }
        return true;
    }

  private:
    const SiteShape& site_;
    std::vector<std::uint32_t> room_;
    std::uint32_t left_;
    std::vector<Machine> machines_;
};

}  // namespace

bool can_place(const SiteShape& site, const Demand& demand) {
    Packing packing(site);
    for (std::uint32_t terminal = 0; terminal < demand.terminals; ++terminal) {
        if (!packing.place_group(1, demand.presentation_backups)) return false;
        for (std::uint32_t session = 0; session < demand.applications; ++session) {
            if (!packing.place_group(2, demand.execution_backups)) return false;
        }
    }
    return true;
}

}  // namespace understudy::sim
