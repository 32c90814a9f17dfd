// Everything of one simulation, and the two phases it goes through. One thread owns it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "manager/core/settings.hpp"
#include "protocol/marks.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/manager.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/plan.hpp"
#include "tests/sim/site.hpp"
#include "tests/sim/store.hpp"

namespace understudy::sim {

/// What one run came to.
struct Outcome {
    Exit exit = Exit::ok;
    std::string promise;
    std::string text;
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    Duration simulated{0};
    std::size_t served = 0;
    std::size_t present = 0;
    Duration healed_after{0};  ///< from the end of the faults until everything was as it should be
    std::string last_lines;
    std::vector<std::string> notes;
};

struct World {
    World(const Options& options, const Plan& plan, std::uint64_t seed);
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// Never throws.
    [[nodiscard]] Outcome run();

    void deliver_to_client(ClientId to, Bytes bytes);
    [[nodiscard]] const std::vector<manager::Intent>& configuration() const { return configuration_; }
    [[nodiscard]] const SimClient* client_named(const std::string& name) const;
    [[nodiscard]] std::vector<const SimClient*> present_clients() const;

    // ---- the administrator: one wish at a time, repeated until it is answered
    void wish(manager::Wish wish);
    [[nodiscard]] const manager::Intent* open_wish(std::uint64_t request) const;
    [[nodiscard]] TimePoint oldest_open_wish() const;

    Options options;
    Plan plan;
    manager::Settings settings;
    Kernel kernel;
    Rng rng;
    Network network;
    SimStore store;
    Oracle oracle;
    Conditions conditions;
    Site site;
    SimManager manager;
    FaultDriver faults;
    std::vector<std::unique_ptr<SimClient>> clients;
    std::vector<std::string> notes;

  private:
    void configure();
    void plan_cycles();
    void safety_phase();
    void liveness_phase(Outcome& outcome);
    void check_regularly();
    void repeat_wish();
    void take_back();
    [[nodiscard]] bool roomy() const;
    void wait_for(const char* promise, Duration bound, const std::function<std::string()>& missing);

    std::vector<manager::Intent> configuration_;
    std::vector<manager::Intent> wishes_;  ///< front: open
    TimePoint wish_since_ = kNever;
    std::uint64_t next_request_ = 1;
};

}  // namespace understudy::sim
