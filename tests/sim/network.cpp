// See network.hpp.
#include "tests/sim/network.hpp"

namespace understudy::sim {

Place Network::add_place(bool is_node, Place host) {
    const auto place = static_cast<Place>(places_.size());
    places_.push_back({0, is_node ? host : place, is_node});
    return place;
}

bool Network::passes(Place from, Place to) const {
    const std::uint32_t a = inside(from);
    const std::uint32_t b = inside(to);
    if (((a ^ b) & symmetric_) != 0) return false;
    if ((a & ~b & outward_) != 0 || (b & ~a & inward_) != 0) return false;
    return !places_[from].is_node || !places_[to].is_node || ((a ^ b) & nodes_) == 0;
}

void Network::carry(Place from, Place to, Duration delay, Kernel::Task arrive) {
    kernel_.after(delay, [this, from, to, arrive = std::move(arrive)] {
        if (passes(from, to)) arrive();
    });
}

void Network::send(Place from, Place to, Kernel::Task arrive) {
    if (!passes(from, to) || rng_.permille(weather.loss_permille)) return;
    // The same way takes the same time in calm weather: order is kept, as a connection keeps it.
    Duration delay = Duration(200 + (from * 7 + to * 13) % 16 * 50) + weather.extra_delay;
    if (weather.jitter.count() > 0) delay += rng_.between(Duration(0), weather.jitter);
    if (rng_.permille(weather.duplicate_permille)) {
        carry(from, to, delay + rng_.between(Duration(0), Duration(500'000)), arrive);
    }
    if (rng_.permille(weather.replay_permille)) {
        // An agent can tell old news of any age by its registration. A refusal to a terminal has no number: only the
        // connection keeps its order, and once faults are over there is none that would not.
        const bool to_terminal = to != kManagerPlace && !places_[to].is_node;
        carry(from, to, rng_.between(Duration(1'000'000), Duration(240'000'000)), [this, to_terminal, arrive] {
            if (!healed || !to_terminal) arrive();
        });
    }
    carry(from, to, delay, std::move(arrive));
}

std::uint32_t Network::cut(CutMode mode, const std::vector<Place>& inside_places) {
    const std::uint32_t used = symmetric_ | outward_ | inward_ | nodes_;
    std::uint32_t number = 0;
    while (number < kNoCut && (used >> number & 1u) != 0) ++number;
    if (number == kNoCut) return kNoCut;
    const std::uint32_t bit = 1u << number;
    for (const Place place : inside_places) places_[place].inside |= bit;
    switch (mode) {
        case CutMode::symmetric: symmetric_ |= bit; break;
        case CutMode::outward: outward_ |= bit; break;
        case CutMode::inward: inward_ |= bit; break;
        case CutMode::between_nodes: nodes_ |= bit; break;
    }
    return number;
}

void Network::heal(std::uint32_t cut_number) {
    if (cut_number >= kNoCut) return;
    const std::uint32_t mask = ~(1u << cut_number);
    for (Where& where : places_) where.inside &= mask;
    symmetric_ &= mask;
    outward_ &= mask;
    inward_ &= mask;
    nodes_ &= mask;
}

}  // namespace understudy::sim
