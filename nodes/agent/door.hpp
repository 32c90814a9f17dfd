// The one port of a node through which all streams go: TLS first (streams/pump.hpp), then a ticket (what is said is in
// protocol/door_line.hpp), then the stream is spliced to what it asks for. Streams whose epoch has become stale are
// cut. Owned by the agent's main thread.
//
// Who has shown no ticket yet can be anybody. Such guests have a room of their own, and when it is full the one that
// has waited longest leaves: a flood of half-open connections neither takes the places of streams nor keeps honest
// guests out, who need the room for a few milliseconds only. One address has a part of that room, and one ticket with what
// followed from it a few of the places for streams: neither can take them all.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/splice.hpp"
#include "nodes/core/ticket_book.hpp"
#include "protocol/door_line.hpp"
#include "protocol/messages.hpp"
#include "protocol/result.hpp"
#include "streams/pump.hpp"

namespace understudy::node {

/// What the door asks of the rest of the agent.
struct DoorTargets {
    std::function<Result<TicketClaims>(std::string_view)> open_ticket;  ///< checks the signature
    /// Checks everything that can change. Errors: `unavailable` (not now), everything else: never again.
    std::function<Result<>(const TicketClaims&)> admits;
    std::function<std::int64_t()> wall_ms;                              ///< the clock that tickets expire by
    std::function<std::string()> new_renewal;                           ///< random, kRenewalBytes long
    /// Not admitted now, but a moment from now it would be: the session it is for is just coming up.
    std::function<bool(const TicketClaims&)> comes_up;
    std::function<std::optional<std::string>(SessionId)> screen_socket; ///< nothing: not at this moment
    std::function<Result<std::string>(TerminalId)> desktop_socket;
    std::function<Result<>(const TicketClaims&, Descriptor, std::function<void()> on_gone)> take_checkpoints;
    /// How often this node's lease has run out so far; asked by another thread. Not given: there is none.
    std::function<std::uint64_t()> lapses;
    std::function<void(const std::string& level, const std::string& words)> log;
};

class Door {
  public:
    static constexpr std::size_t kConnections = 256;      ///< let in at the same time, of all kinds
    static constexpr std::size_t kWaitingRoom = 256;      ///< have shown no ticket yet
    static constexpr std::size_t kWaitingPerAddress = 64; ///< of them, from one address
    static constexpr std::size_t kPerTicket = 8;          ///< let in, or about to be, with one ticket or its renewals
    static constexpr Duration kLinePatience = std::chrono::seconds(5);
    static constexpr Duration kTargetPatience = std::chrono::seconds(20);

    Door(Loop& loop, Descriptor listener, streams::DoorIdentity identity, DoorTargets targets);
    ~Door();
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;

    /// Cuts every stream that would not be admitted any more.
    void recheck();
    /// Cuts everything; new streams are refused by admits().
    void cut_all();
    /// The session's X server takes connections (again): lets in who had to wait.
    void retry_held(SessionId session);
    /// Our ends of the connections to a session's X server.
    [[nodiscard]] std::vector<int> window_connections(SessionId session) const;
    [[nodiscard]] std::size_t connections() const { return guests_.size(); }
    [[nodiscard]] const TicketBook& book() const { return book_; }

  private:
    enum class Stage { line, held, connecting, answered, spliced, handed_over };
    struct Guest {
        Descriptor socket;                   ///< the plain side of its TLS
        std::shared_ptr<const streams::Ending> ending;
        std::string address;                 ///< where it comes from
        std::string heard;                   ///< what it has said and nobody has used yet
        Stage stage = Stage::line;
        Loop::Id watch = 0;
        Loop::Id timer = 0;
        Purpose purpose = Purpose::window;
        TicketBook::Pass pass;
        std::string renewal;                 ///< what it gets for the next time
        Descriptor target;                   ///< until it is spliced
        std::unique_ptr<SplicedPair> pair;
        Descriptor handle;                   ///< a handle to cut a stream that somebody else serves
    };
    using GuestId = std::uint64_t;

    void let_in();
    void make_room(const std::string& address);
    void make_room_for_ticket(std::uint64_t serial);
    void hear(GuestId id);
    void hear_line(GuestId id);
    void hear_go(GuestId id);
    void serve(GuestId id, const std::string& line);
    [[nodiscard]] Result<TicketBook::Pass> judge(const FirstLine& said) const;
    void wait_for_target(GuestId id);
    void connect_target(GuestId id, const std::string& path);
    void answer(GuestId id);
    void begin(GuestId id);
    void hand_over(GuestId id);
    void refuse(GuestId id, const std::string& reason, ErrorCode code = ErrorCode::unavailable);
    void drop(GuestId id);
    void stop_watching(Guest& guest);

    Loop& loop_;
    Descriptor listener_;
    Loop::Id listener_watch_ = 0;
    streams::DoorIdentity identity_;
    DoorTargets targets_;
    TicketBook book_;
    GuestId next_ = 1;
    std::map<GuestId, Guest> guests_;
    std::set<GuestId> waiting_room_;         ///< oldest first; those in stage `line`
    /// As nice as the X servers whose pictures it brings, not as urgent as the agent. Last: its streams refer to the identity.
    streams::Pump pump_{streams::Pump::kHandshakePatience, 0, targets_.lapses};
};

}  // namespace understudy::node
