// One stream: TLS on a TCP socket on one side, plain bytes on a local socket on the other, a bounded buffer each
// way. Belongs to the pump's thread; never waits.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "streams/door_identity.hpp"
#include "streams/owned_fd.hpp"

namespace understudy::streams {

/// Why a stream ended: written by the pump, read by whoever holds the local end. Shared, because either side may be
/// gone first.
class Ending {
public:
    void set(std::string words) {
        const std::lock_guard lock(mutex_);
        if (words_.empty()) words_ = std::move(words);
    }
    [[nodiscard]] std::string words() const {
        const std::lock_guard lock(mutex_);
        return words_.empty() ? "the stream is open" : words_;
    }

private:
    mutable std::mutex mutex_;
    std::string words_;
};

/// What is said of a stream that was cut because its side may not carry any more.
inline constexpr std::string_view kLapsed = "the time in which this side may serve has run out";

class SecuredStream {
public:
    enum class Next { handshake, open, closing, over };

    /// A door's side, with `identity` alive as long as this, or a client's side that accepts `pinned_key` alone and has
    /// yet to be connected.
    SecuredStream(OwnedFd tcp, OwnedFd local, const DoorIdentity& identity, std::shared_ptr<Ending> ending);
    SecuredStream(OwnedFd local, TlsSession client, std::string pinned_key, std::shared_ptr<Ending> ending);

    /// The door was reached by this; the handshake begins with the next advance(). Once, on the client's side.
    void connected(OwnedFd tcp);

    /// Carries on as far as possible after the descriptors told these events, and as long as it may: that is asked
    /// before each record. Behind `over` it only wants to be destroyed.
    [[nodiscard]] Next advance(std::uint32_t tcp_events, std::uint32_t local_events, const std::function<bool()>& may_carry);
    /// Its time is over: what it waited for did not come.
    void time_out();
    /// It cannot be served, for this reason.
    void give_up(std::string why) { ending_->set(std::move(why)); }

    [[nodiscard]] int tcp() const { return tcp_.get(); }
    [[nodiscard]] int local() const { return local_.get(); }
    /// What to wait for; 0: the descriptor's ends alone.
    [[nodiscard]] std::uint32_t wanted_of_tcp() const { return tcp_wanted_; }
    [[nodiscard]] std::uint32_t wanted_of_local() const { return local_wanted_; }
    /// The local end was closed: it tells nothing any more.
    [[nodiscard]] bool local_has_gone() const { return local_gone_; }

private:
    /// One direction. A record's length, so that OpenSSL never keeps a rest of which no descriptor tells.
    struct Way {
        std::array<char, 16 * 1024> bytes{};
        std::size_t from = 0;
        std::size_t until = 0;
        bool ended = false;      ///< nothing more comes from its source
        bool passed_on = false;  ///< and its end has been told to the other side
        [[nodiscard]] bool empty() const { return from == until; }
    };
    enum class Moved { on, waits, broken };

    [[nodiscard]] bool shake_hands();
    [[nodiscard]] bool pump(const std::function<bool()>& may_carry);
    [[nodiscard]] Moved move_in();
    [[nodiscard]] Moved move_out();
    [[nodiscard]] Moved read_tls();
    [[nodiscard]] Moved write_tls();
    [[nodiscard]] Moved judge_tls(int result, const char* doing);
    [[nodiscard]] Next end(std::string why);

    OwnedFd tcp_;
    OwnedFd local_;
    const DoorIdentity* identity_ = nullptr;
    TlsSession tls_;
    std::string pinned_key_;
    std::shared_ptr<Ending> ending_;
    bool secured_ = false;
    bool cut_off_ = false;     ///< the other machine said no goodbye: no more comes, and no more is wanted
    bool local_gone_ = false;
    Way in_;
    Way out_;
    std::uint32_t tcp_wanted_ = 0;
    std::uint32_t local_wanted_ = 0;
};

}  // namespace understudy::streams
