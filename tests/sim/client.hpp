// A terminal program: asks to be served, obeys the newest epoch, connects, says what it sees.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/codec.hpp"
#include "protocol/messages.hpp"
#include "tests/sim/network.hpp"

namespace understudy::sim {

struct World;

class SimClient {
  public:
    SimClient(World& world, std::uint32_t number, Place place, Rng rng);

    void start(Duration delay);
    void receive(ClientId to, const Bytes& bytes);
    /// The program ends; another one is started later.
    void vanish(Duration back_after);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] Place place() const { return place_; }
    [[nodiscard]] ClientId id() const { return ClientId(number_ * 1'000'000ull + life_); }
    [[nodiscard]] bool present() const { return present_; }
    [[nodiscard]] bool connected() const { return connected_; }
    [[nodiscard]] const TerminalRedirect& redirect() const { return redirect_; }
    /// Since when a question of ours is open; kNever: none is.
    [[nodiscard]] TimePoint open_since() const { return open_since_; }
    [[nodiscard]] const std::string& last_reason() const { return last_reason_; }

  private:
    void tick();
    void say(Message message);
    void obey(const TerminalRedirect& redirect);
    [[nodiscard]] bool door_opens() const;

    World& world_;
    std::uint32_t number_;
    Place place_;
    Rng rng_;
    std::string name_;
    std::uint64_t life_ = 1;
    bool present_ = false;
    bool connected_ = false;
    Epoch accepted_ = 0;
    TerminalRedirect redirect_;
    TimePoint next_ask_{};
    TimePoint open_since_ = kNever;
    std::string last_reason_;
    std::uint64_t sequence_ = 0;
};

}  // namespace understudy::sim
