// The one port of a node through which all streams go: a ticket first, then the stream is spliced to
// what it asks for. Streams whose epoch has become stale are cut. Owned by the agent's main thread.
//
//   client: UNDERSTUDY/1 window|desktop|checkpoint TICKET\n
//   door:   OK\n and the stream begins, or NO REASON\n and the end
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/splice.hpp"
#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// What the door asks of the rest of the agent.
struct DoorTargets {
    std::function<Result<TicketClaims>(std::string_view)> open_ticket;  ///< checks the signature
    std::function<Result<>(const TicketClaims&)> admits;                ///< checks everything that can change
    /// Not admitted now, but a moment from now it would be: the session it is for is just coming up.
    std::function<bool(const TicketClaims&)> comes_up;
    std::function<std::optional<std::string>(SessionId)> screen_socket; ///< nothing: not at this moment
    std::function<Result<std::string>(TerminalId)> desktop_socket;
    std::function<Result<>(const TicketClaims&, Descriptor, std::function<void()> on_gone)> take_checkpoints;
    std::function<void(const std::string& level, const std::string& words)> log;
};

class Door {
  public:
    static constexpr std::size_t kConnections = 256;      ///< at the same time, of all kinds
    static constexpr Duration kLinePatience = std::chrono::seconds(5);
    static constexpr Duration kTargetPatience = std::chrono::seconds(20);

    Door(Loop& loop, Descriptor listener, DoorTargets targets);
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

  private:
    enum class Stage { line, held, connecting, spliced, handed_over };
    struct Guest {
        Descriptor socket;
        Stage stage = Stage::line;
        Loop::Id watch = 0;
        Loop::Id timer = 0;
        TicketClaims claims;
        Descriptor target;                   ///< while connecting
        std::unique_ptr<SplicedPair> pair;
        Descriptor handle;                   ///< a handle to cut a stream that somebody else serves
    };
    using GuestId = std::uint64_t;

    void let_in();
    void read_line(GuestId id);
    void serve(GuestId id, const std::string& line);
    void wait_for_target(GuestId id);
    void connect_target(GuestId id, const std::string& path);
    void begin_splicing(GuestId id);
    void hand_over(GuestId id);
    void refuse(GuestId id, const std::string& reason);
    void drop(GuestId id);
    void stop_watching(Guest& guest);

    Loop& loop_;
    Descriptor listener_;
    Loop::Id listener_watch_ = 0;
    DoorTargets targets_;
    GuestId next_ = 1;
    std::map<GuestId, Guest> guests_;
};

}  // namespace understudy::node
