// See door.hpp.
#include "nodes/agent/door.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "nodes/agent/base/tcp.hpp"
#include "protocol/limits.hpp"

namespace understudy::node {
namespace {

constexpr std::string_view kGreeting = "UNDERSTUDY/1 ";
constexpr Duration kConnectPause = std::chrono::milliseconds(20);

std::optional<Purpose> purpose_of(std::string_view word) {
    if (word == "window") return Purpose::window;
    if (word == "desktop") return Purpose::desktop;
    if (word == "checkpoint") return Purpose::checkpoint;
    return {};
}

void say(int socket, const std::string& line) {
    // A few bytes into an empty buffer: they fit, or the other side is gone.
    [[maybe_unused]] const auto sent = ::send(socket, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Door::Door(Loop& loop, Descriptor listener, DoorTargets targets) : loop_(loop), listener_(std::move(listener)), targets_(std::move(targets)) {
    listener_watch_ = loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { let_in(); });
}

Door::~Door() {
    loop_.unwatch(listener_watch_);
    cut_all();
}

void Door::let_in() {
    for (;;) {
        Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) return;
        tune_stream(socket.get());
        if (guests_.size() >= kConnections) {
            say(socket.get(), "NO this node serves too many streams\n");
            continue;
        }
        const GuestId id = next_++;
        Guest& guest = guests_[id];
        guest.socket = std::move(socket);
        guest.watch = loop_.watch(guest.socket.get(), EPOLLIN, [this, id](std::uint32_t) { read_line(id); });
        guest.timer = loop_.after(kLinePatience, [this, id] {
            guests_.at(id).timer = 0;
            refuse(id, "no ticket came in time");
        });
    }
}

// Looks without taking: bytes behind the line belong to the stream.
void Door::read_line(GuestId id) {
    Guest& guest = guests_.at(id);
    std::array<char, limits::kDoorLineBytes> seen{};
    const auto length = ::recv(guest.socket.get(), seen.data(), seen.size(), MSG_PEEK);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        drop(id);
        return;
    }
    const std::string_view bytes(seen.data(), static_cast<std::size_t>(length));
    const auto end = bytes.find('\n');
    if (end == std::string_view::npos) {
        const bool hopeless = bytes.size() == seen.size() || !std::string_view(kGreeting).starts_with(bytes.substr(0, kGreeting.size()));
        if (hopeless) {
            refuse(id, "this is not the first line of a stream");
            return;
        }
        // The bytes stay in the socket, so readiness would be told for ever: wait for more of them.
        const int least = static_cast<int>(bytes.size()) + 1;
        ::setsockopt(guest.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
        return;
    }
    const std::string line(bytes.substr(0, end));
    const int least = 1;
    ::setsockopt(guest.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
    [[maybe_unused]] const auto taken = ::recv(guest.socket.get(), seen.data(), end + 1, 0);
    stop_watching(guest);
    serve(id, line);
}

void Door::serve(GuestId id, const std::string& line) {
    std::string_view rest(line);
    if (!rest.starts_with(kGreeting)) {
        refuse(id, "this is not the first line of a stream");
        return;
    }
    rest.remove_prefix(kGreeting.size());
    const auto space = rest.find(' ');
    const auto purpose = purpose_of(rest.substr(0, space));
    if (!purpose || space == std::string_view::npos) {
        refuse(id, "a stream is a window, a desktop or a checkpoint");
        return;
    }
    std::string_view text = rest.substr(space + 1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    const auto claims = targets_.open_ticket(text);
    if (!claims) {
        refuse(id, claims.error().message);
        return;
    }
    if (claims->purpose != *purpose) {
        refuse(id, "the ticket is for another kind of stream");
        return;
    }
    Guest& guest = guests_.at(id);
    guest.claims = *claims;
    if (const auto admitted = targets_.admits(*claims); !admitted) {
        // Waiting here is shorter than being sent away and coming again.
        if (*purpose == Purpose::window && targets_.comes_up(*claims)) wait_for_target(id);
        else refuse(id, admitted.error().message);
        return;
    }
    if (*purpose == Purpose::checkpoint) {
        hand_over(id);
        return;
    }
    wait_for_target(id);
    if (*purpose == Purpose::window) {
        if (const auto path = targets_.screen_socket(guest.claims.session)) connect_target(id, *path);
        return;
    }
    const auto path = targets_.desktop_socket(guest.claims.terminal);
    if (path) connect_target(id, *path);
    else refuse(id, path.error().message);
}

void Door::wait_for_target(GuestId id) {
    Guest& guest = guests_.at(id);
    guest.stage = Stage::held;
    guest.timer = loop_.after(kTargetPatience, [this, id] {
        guests_.at(id).timer = 0;
        refuse(id, "the X server does not answer");
    });
}

void Door::connect_target(GuestId id, const std::string& path) {
    Guest& guest = guests_.at(id);
    guest.stage = Stage::connecting;
    guest.target.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        refuse(id, "the path of the X server's socket is too long");
        return;
    }
    path.copy(address.sun_path, path.size());
    if (::connect(guest.target.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        begin_splicing(id);
        return;
    }
    if (errno == EAGAIN) {  // its queue is full
        guest.stage = Stage::held;
        guest.target.reset();
        loop_.after(kConnectPause, [this, session = guest.claims.session] { retry_held(session); });
        return;
    }
    refuse(id, std::string("the X server does not take connections: ") + std::strerror(errno));
}

void Door::begin_splicing(GuestId id) {
    Guest& guest = guests_.at(id);
    if (guest.timer != 0) loop_.cancel(std::exchange(guest.timer, 0));
    say(guest.socket.get(), "OK\n");
    guest.stage = Stage::spliced;
    guest.pair = std::make_unique<SplicedPair>(loop_, std::move(guest.socket), std::move(guest.target), [this, id] { drop(id); });
}

void Door::hand_over(GuestId id) {
    Guest& guest = guests_.at(id);
    say(guest.socket.get(), "OK\n");
    guest.stage = Stage::handed_over;
    guest.handle.reset(::fcntl(guest.socket.get(), F_DUPFD_CLOEXEC, 0));
    const auto taken = targets_.take_checkpoints(guest.claims, std::move(guest.socket), [this, id] {
        loop_.post([this, id] { drop(id); });
    });
    if (taken) return;
    targets_.log("warning", "a checkpoint stream was admitted and could not be served: " + taken.error().message);
    drop(id);
}

void Door::refuse(GuestId id, const std::string& reason) {
    Guest& guest = guests_.at(id);
    targets_.log("debug", "the door refused a stream: " + reason);
    say(guest.socket.get(), "NO " + reason.substr(0, 500) + "\n");
    ::shutdown(guest.socket.get(), SHUT_WR);
    drop(id);
}

void Door::stop_watching(Guest& guest) {
    if (guest.watch != 0) loop_.unwatch(std::exchange(guest.watch, 0));
    if (guest.timer != 0) loop_.cancel(std::exchange(guest.timer, 0));
}

void Door::drop(GuestId id) {
    const auto found = guests_.find(id);
    if (found == guests_.end()) return;
    stop_watching(found->second);
    if (found->second.handle) ::shutdown(found->second.handle.get(), SHUT_RDWR);
    guests_.erase(found);
}

void Door::recheck() {
    std::vector<GuestId> stale;
    for (const auto& [id, guest] : guests_) {
        if (guest.stage == Stage::line || targets_.admits(guest.claims)) continue;
        if (guest.stage != Stage::held || !targets_.comes_up(guest.claims)) stale.push_back(id);
    }
    for (const auto id : stale) drop(id);
}

void Door::cut_all() {
    while (!guests_.empty()) drop(guests_.begin()->first);
}

void Door::retry_held(SessionId session) {
    std::vector<GuestId> waiting;
    for (const auto& [id, guest] : guests_) {
        if (guest.stage == Stage::held && guest.claims.session == session) waiting.push_back(id);
    }
    for (const auto id : waiting) {
        const auto path = targets_.screen_socket(session);
        if (!path) return;
        if (const auto admitted = targets_.admits(guests_.at(id).claims); admitted) connect_target(id, *path);
        else refuse(id, admitted.error().message);
    }
}

std::vector<int> Door::window_connections(SessionId session) const {
    std::vector<int> sockets;
    for (const auto& [id, guest] : guests_) {
        if (guest.pair && guest.claims.purpose == Purpose::window && guest.claims.session == session) sockets.push_back(guest.pair->right());
    }
    return sockets;
}

}  // namespace understudy::node
