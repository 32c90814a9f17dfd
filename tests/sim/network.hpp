// The simulated network: who reaches whom, how long it takes, what is lost, doubled, reordered or replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/sim/kernel.hpp"

namespace understudy::sim {

/// A place on the network. The manager is place 0.
using Place = std::uint32_t;
inline constexpr Place kManagerPlace = 0;

/// What applies to every message at present.
struct Weather {
    std::uint32_t loss_permille = 0;
    std::uint32_t duplicate_permille = 0;
    std::uint32_t replay_permille = 0;
    Duration extra_delay{0};
    Duration jitter{0};
};

enum class CutMode : std::uint8_t { symmetric, outward, inward, between_nodes };

class Network {
  public:
    Network(Kernel& kernel, Rng rng) : kernel_(kernel), rng_(rng) { places_.emplace_back(); }

    /// `host`: the place whose cuts it shares (a node shares its host's), or itself.
    Place add_place(bool is_node, Place host);

    [[nodiscard]] bool passes(Place from, Place to) const;
    /// Both ways.
    [[nodiscard]] bool connected(Place a, Place b) const { return passes(a, b) && passes(b, a); }

    /// Sends one message: `arrive` runs for every copy that arrives.
    void send(Place from, Place to, Kernel::Task arrive);

    /// Starts a partition around `inside`; returns its number, or kNoCut when too many are open.
    static constexpr std::uint32_t kNoCut = 32;
    [[nodiscard]] std::uint32_t cut(CutMode mode, const std::vector<Place>& inside);
    void heal(std::uint32_t cut);

    Weather weather;
    bool healed = false;  ///< faults are over

  private:
    struct Where {
        std::uint32_t inside = 0;  ///< bit per cut
        Place host = 0;
        bool is_node = false;
    };
    [[nodiscard]] std::uint32_t inside(Place place) const {
        return places_[place].inside | places_[places_[place].host].inside;
    }
    void carry(Place from, Place to, Duration delay, Kernel::Task arrive);

    Kernel& kernel_;
    Rng rng_;
    std::vector<Where> places_;
    std::uint32_t symmetric_ = 0, outward_ = 0, inward_ = 0, nodes_ = 0;
};

}  // namespace understudy::sim
