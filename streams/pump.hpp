// Puts TLS around TCP connections, accepted ones and those that it makes itself, and hands out plain local sockets in
// their place, so that whoever uses a stream (splice, blocking frames, libvncclient, Asio) goes on working with an
// ordinary descriptor. One thread serves all streams of a pump. There is no way around TLS: a connection that does not speak it ends.
//
// What the user of a local socket sees: back-pressure; the other side's half-close as end of file; its own half-close
// carried over; the end of the connection, for whatever reason, at once as end of file. Connecting and the handshake go on
// behind the socket: what is written meanwhile waits, and nothing leaves before the other side's key was found right.
//
// Whoever may carry for a time only (a node, while its lease lasts) gives its pump a count of how often that time has run
// out. It is asked before each record, by the pump's thread: a machine that stood still for longer than it may does not
// send what it had ready, even if nobody else in it has looked at a clock yet.
//
// A handshake costs more than the bytes of a stream, and anybody can begin one. Few are carried on in each turn, so that
// streams that stand go on beside a flood of them; the others wait for the next turn.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "protocol/result.hpp"
#include "streams/dial.hpp"
#include "streams/door_identity.hpp"
#include "streams/owned_fd.hpp"
#include "streams/secured_stream.hpp"

namespace understudy::streams {

/// The local end of a stream (non-blocking, close-on-exec) and, once it has ended, why.
struct Secured {
    OwnedFd socket;
    std::shared_ptr<const Ending> ending;
};

class Pump {
public:
    static constexpr std::size_t kStreams = 1024;                           ///< at the same time
    static constexpr std::chrono::milliseconds kHandshakePatience{5000};    ///< for connecting as well
    static constexpr int kHandshakesPerTurn = 4;                            ///< steps of handshakes between two looks at streams
    static constexpr std::chrono::milliseconds kLeavePatience{5000};        ///< for the rest, once the user has closed

    /// How often the right to carry has run out so far; never falls.
    using Lapses = std::function<std::uint64_t()>;

    /// Never fails: a pump that could not be set up says why to everybody who hands it a stream. `niceness`: of its
    /// thread, as nice(1) counts; not given: that of the thread that makes it. Ciphers take the processor. `lapses`: asked
    /// in the pump's thread; with each further one all streams of before are cut. Not given: it may always.
    explicit Pump(std::chrono::milliseconds handshake_patience = kHandshakePatience, std::optional<int> niceness = {}, Lapses lapses = {});
    /// Cuts all streams. Identities given to it must live as long.
    ~Pump();
    Pump(const Pump&) = delete;
    Pump& operator=(const Pump&) = delete;

    /// The door's side of a connection that was accepted. Errors: `limit` (too many streams), `unavailable`.
    [[nodiscard]] Result<Secured> secure_as_server(OwnedFd tcp, const DoorIdentity& identity);

    /// Connects to this door and goes on only with the one whose key this is. What becomes of it is seen at the socket.
    /// Errors: `refused` (an empty key: the manager does not know this door's), `invalid` (no numeric address), `limit`,
    /// `unavailable`.
    [[nodiscard]] Result<Secured> dial(const Endpoint& door);

    [[nodiscard]] std::size_t streams() const { return count_.load(); }

private:
    using Clock = std::chrono::steady_clock;
    using Id = std::uint64_t;
    enum class Of : std::uint64_t { tcp, local, attempt };  ///< what an event is of; together with the row's number its tag
    struct Fresh {
        std::unique_ptr<SecuredStream> stream;
        std::optional<Dial> dial;
    };
    struct Row {
        std::unique_ptr<SecuredStream> stream;
        std::optional<Dial> dial;         ///< until somebody answers
        Clock::time_point give_up_at{};   ///< the handshake
        Clock::time_point deadline{};     ///< the next thing to do by itself
        SecuredStream::Next next = SecuredStream::Next::handshake;
        std::uint32_t tcp_watched = 0;
        std::uint32_t local_watched = 0;
        bool local_left = false;
    };

    [[nodiscard]] Result<std::pair<OwnedFd, OwnedFd>> make_local() const;
    [[nodiscard]] Result<> hand_in(Fresh fresh);
    [[nodiscard]] std::string set_up();
    void run();
    void take_in();
    void heed_lapse();
    void take_in(Fresh fresh);
    [[nodiscard]] static std::uint64_t tag(Id id, Of of) { return id * 4 + static_cast<std::uint64_t>(of); }
    [[nodiscard]] bool add(int fd, std::uint32_t wanted, std::uint64_t tag);
    [[nodiscard]] bool shakes_hands(Id id) const;
    void attempt(Id id);
    void hear_attempt(Id id);
    void expect(Id id, Row& row, Clock::time_point deadline);
    void serve(Id id, std::uint32_t tcp_events, std::uint32_t local_events);
    void watch(Id id, Row& row);
    void drop_late();
    void drop(std::map<Id, Row>::iterator row);
    void give_up(std::map<Id, Row>::iterator row, std::string why);
    [[nodiscard]] int patience_ms() const;

    const std::chrono::milliseconds handshake_patience_;
    const std::optional<int> niceness_;
    const Lapses lapses_;
    TlsContext client_context_;
    OwnedFd epoll_;
    OwnedFd wake_;
    std::atomic<bool> stopping_{false};
    std::atomic<std::size_t> count_{0};
    std::mutex mutex_;  ///< guards handed_in_; held for moves only
    std::vector<Fresh> handed_in_;

    std::string problem_;  ///< why it cannot serve; never changes once the thread runs

    // The pump's thread alone.
    std::map<Id, Row> rows_;
    std::set<std::pair<Clock::time_point, Id>> deadlines_;
    Id next_ = 1;
    std::uint64_t lapses_heeded_ = 0;
    const std::function<bool()> may_carry_ = [this] { return !lapses_ || lapses_() == lapses_heeded_; };

    std::thread thread_;  ///< last: starts when everything else is there
};

}  // namespace understudy::streams
