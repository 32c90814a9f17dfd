// Who may stay when many come: the open connections of the gateway, and which of them gives way. Half-open
// connections cost an attacker nothing, so that being turned away must not depend on who came first: while nobody
// has logged in over a connection it is a stranger's, and the oldest stranger gives way to the newest. A person
// who is logging in needs milliseconds; a connection that stays silent is gone by then. A known one gives way to the next
// of its own account alone, and known ones never have all places: an administrator always finds one to log in over.
// Values and callbacks; belongs to the gateway's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "client/gateway/access.hpp"

namespace understudy::gateway {

struct VisitLimits {
    std::size_t in_all = 256;
    std::size_t strangers_per_address = 64;
    std::size_t per_account = 64;
    std::size_t reserve = 16;  ///< places that those who are logged in, but administrators, never have
};

/// One open connection. Shared between its coroutines and the book, which may let go of it first.
struct Visit {
    explicit Visit(std::string from) : address(std::move(from)) {}
    std::string address;        ///< as group_of() says
    bool known = false;         ///< somebody who is logged in has used it: the one who asked last
    bool is_websocket = false;  ///< stays open without further requests
    Caller caller;
    std::function<void()> end;  ///< ends the connection soon; set anew as it changes from one phase to the next
};

/// Addresses that one party has many of count as one: of the sixth version the network's half.
[[nodiscard]] std::string group_of(std::string_view address);

class Visits {
public:
    explicit Visits(VisitLimits limits) : limits_(limits) {}

    /// Takes a new connection in. Nothing if every place is taken by somebody known; the oldest stranger, or the
    /// oldest one from the same address, may have been told to end.
    [[nodiscard]] std::shared_ptr<Visit> enter(std::string_view address);
    void leave(const std::shared_ptr<Visit>& visit);

    /// Who asks over this connection, from now on. False if it has to end, because those who are logged in have all
    /// places but the reserve. Of an account that has its share of places, the oldest other one has been told to end.
    [[nodiscard]] bool belongs_to(Visit& visit, Caller caller);

    /// Ends every visit for which `lapsed` is true.
    void end_those(const std::function<bool(const Visit&)>& lapsed);

    [[nodiscard]] std::size_t size() const { return visits_.size(); }
    /// Strangers that had to give way since the start.
    [[nodiscard]] std::size_t displaced() const { return displaced_; }

private:
    /// The oldest stranger from that address; from any if it is empty. False if there is none.
    bool displace(std::string_view address);
    void end(std::list<std::shared_ptr<Visit>>::iterator visit);
    VisitLimits limits_;
    std::list<std::shared_ptr<Visit>> visits_;  ///< oldest first
    std::size_t displaced_ = 0;
};

}  // namespace understudy::gateway
