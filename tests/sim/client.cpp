// See client.hpp.
#include "tests/sim/client.hpp"

#include "protocol/planted.hpp"
#include "tests/sim/world.hpp"

namespace understudy::sim {

SimClient::SimClient(World& world, std::uint32_t number, Place place, Rng rng)
    : world_(world), number_(number), place_(place), rng_(rng), name_("terminal-" + std::to_string(number)) {}

void SimClient::start(Duration delay) {
    const std::uint64_t life = life_;
    world_.kernel.after(delay, [this, life] {
        if (life != life_) return;
        present_ = true;
        next_ask_ = {};
        tick();
    });
}

void SimClient::vanish(Duration back_after) {
    if (!present_) return;
    world_.kernel.trace("terminal program ends", number_);
    const ClientId old = id();
    present_ = connected_ = false;
    accepted_ = 0;
    redirect_ = {};
    open_since_ = kNever;
    ++life_;
    world_.kernel.after(Duration(1000), [this, old] { world_.manager.client_gone(old); });
    start(back_after);
}

void SimClient::say(Message message) {
    Bytes bytes = encode({1, ++sequence_, std::move(message)});
    world_.network.send(place_, kManagerPlace, [this, from = id(), bytes = std::move(bytes)] {
        if (from == id()) world_.manager.client_said(from, bytes);
    });
}

bool SimClient::door_opens() const {
    if (redirect_.epoch == 0) return false;
    const SimNode* node = world_.site.find(redirect_.ticket.claims.door);
    return node != nullptr && node->door() == redirect_.endpoint && !redirect_.ticket.text.empty() &&
           world_.network.connected(place_, node->place()) && node->admits(redirect_.ticket.claims);
}

void SimClient::tick() {
    const bool opens = door_opens();
    if (opens && !connected_) {
        world_.kernel.trace("terminal connected", number_, redirect_.ticket.claims.door.value, redirect_.epoch);
        connected_ = true;
        say(TerminalSeen{redirect_.terminal, redirect_.epoch, "connected", redirect_.incident});
        say(TerminalSeen{redirect_.terminal, redirect_.epoch, "picture", redirect_.incident});
    } else if (!opens && connected_) {
        world_.kernel.trace("terminal lost its desktop", number_, redirect_.ticket.claims.door.value, redirect_.epoch);
        connected_ = false;
        say(TerminalSeen{redirect_.terminal, redirect_.epoch, "lost", redirect_.incident});
    }
    // Now and then also while all is well: a manager that was started anew does not know us.
    if (world_.kernel.now() >= next_ask_) {
        next_ask_ = world_.kernel.now() + (connected_ ? Duration(20'000'000) : Duration(2'000'000));
        if (open_since_ == kNever) open_since_ = world_.kernel.now();
        say(TerminalAttach{name_, 0, 0, accepted_});
    }
    const std::uint64_t life = life_;
    world_.kernel.after(Duration(1'000'000), [this, life] {
        if (life == life_) tick();
    });
}

void SimClient::obey(const TerminalRedirect& redirect) {
    if (redirect.epoch < accepted_ && !UNDERSTUDY_PLANTED("stale_terminal_obeyed")) {
        UNDERSTUDY_MARK("terminal.refused_an_old_epoch");
        return;
    }
    world_.oracle.client_obeys(name_, id(), redirect.epoch);
    const bool news = redirect.epoch != redirect_.epoch;
    accepted_ = redirect.epoch;
    redirect_ = redirect;
    if (news) connected_ = false;
}

void SimClient::receive(ClientId to, const Bytes& bytes) {
    if (!present_ || to != id()) return;
    const auto envelope = decode(bytes);
    if (!envelope) throw Violation{Exit::crash, "codec", "a terminal refused the manager's message: " + envelope.error().message};
    open_since_ = kNever;
    if (const auto* redirect = std::get_if<TerminalRedirect>(&envelope->message)) {
        obey(*redirect);
    } else if (const auto* waiting = std::get_if<TerminalWaiting>(&envelope->message)) {
        last_reason_ = waiting->reason;
        if (waiting->reason.empty()) throw Violation{Exit::liveness, "L5", name_ + " is told to wait without a reason"};
    } else if (std::holds_alternative<TerminalTaken>(envelope->message)) {
        // Every terminal of the simulation is alone with its name.
        throw Violation{Exit::liveness, "L5", name_ + " is told that another place has its desktop"};
    } else if (const auto* refused = std::get_if<TerminalRefused>(&envelope->message)) {
        last_reason_ = refused->reason;
        connected_ = false;
        redirect_ = {};
        next_ask_ = world_.kernel.now() + Duration(5'000'000);
    }
}

}  // namespace understudy::sim
