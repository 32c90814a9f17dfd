// See door.hpp.
#include "nodes/agent/door.hpp"

#include <fcntl.h>
#include <netinet/in.h>
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

constexpr Duration kConnectPause = std::chrono::milliseconds(20);

/// Its bytes, to compare; of IPv6 the half that names a network, since one machine has all of the other half.
std::string address_of(const sockaddr_storage& from) {
    if (from.ss_family == AF_INET) {
        const auto& address = reinterpret_cast<const sockaddr_in&>(from).sin_addr;
        return {reinterpret_cast<const char*>(&address), sizeof address};
    }
    const auto& address = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
    const std::size_t length = IN6_IS_ADDR_V4MAPPED(&address) ? sizeof address : sizeof address / 2;
    return {reinterpret_cast<const char*>(&address), length};
}

void say(int socket, const std::string& line) {
    // A few bytes into an empty buffer: they fit, or the other side is gone.
    [[maybe_unused]] const auto sent = ::send(socket, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Door::Door(Loop& loop, Descriptor listener, streams::DoorIdentity identity, DoorTargets targets)
    : loop_(loop), listener_(std::move(listener)), identity_(std::move(identity)), targets_(std::move(targets)) {
    listener_watch_ = loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { let_in(); });
}

Door::~Door() {
    loop_.unwatch(listener_watch_);
    cut_all();
}

void Door::make_room(const std::string& address) {
    std::optional<GuestId> oldest;  // from there
    std::size_t from_there = 0;
    for (const GuestId id : waiting_room_) {
        if (guests_.at(id).address != address) continue;
        if (!oldest) oldest = id;
        ++from_there;
    }
    if (from_there >= kWaitingPerAddress) drop(*oldest);
    while (waiting_room_.size() >= kWaitingRoom) drop(*waiting_room_.begin());
}

/// The oldest leaves of those who came with it: first one who is not in yet, whose answer was probably lost.
void Door::make_room_for_ticket(std::uint64_t serial) {
    std::optional<GuestId> oldest;
    std::optional<GuestId> oldest_outside;
    std::size_t count = 0;
    for (const auto& [id, guest] : guests_) {
        if (guest.stage == Stage::line || guest.pass.claims.serial != serial) continue;
        ++count;
        if (!oldest) oldest = id;
        if (!oldest_outside && guest.stage != Stage::spliced && guest.stage != Stage::handed_over) oldest_outside = id;
    }
    if (count >= kPerTicket) drop(oldest_outside ? *oldest_outside : *oldest);
}

void Door::let_in() {
    for (;;) {
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        Descriptor socket(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) return;
        tune_stream(socket.get());
        std::string address = address_of(from);
        make_room(address);
        auto secured = pump_.secure_as_server(streams::OwnedFd(socket.release()), identity_);
        if (!secured) {
            targets_.log("warning", "the door could not take a connection: " + secured.error().message);
            continue;
        }
        const GuestId id = next_++;
        Guest& guest = guests_[id];
        guest.socket.reset(secured->socket.release());
        guest.ending = secured->ending;
        guest.address = std::move(address);
        waiting_room_.insert(id);
        guest.watch = loop_.watch(guest.socket.get(), EPOLLIN, [this, id](std::uint32_t) { hear(id); });
        guest.timer = loop_.after(kLinePatience, [this, id] {
            guests_.at(id).timer = 0;
            refuse(id, "no ticket came in time");
        });
    }
}

// While a guest waits for the door it has nothing to say: what comes then is no stream that we know.
void Door::hear(GuestId id) {
    Guest& guest = guests_.at(id);
    std::array<char, limits::kDoorLineBytes> bytes{};
    const auto length = ::recv(guest.socket.get(), bytes.data(), bytes.size() - guest.heard.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        if (guest.stage == Stage::line) targets_.log("debug", "a guest of the door left: " + guest.ending->words());
        drop(id);
        return;
    }
    guest.heard.append(bytes.data(), static_cast<std::size_t>(length));
    if (guest.stage == Stage::line) hear_line(id);
    else if (guest.stage == Stage::answered) hear_go(id);
    else refuse(id, "nothing may be said before the door has answered", ErrorCode::refused);
}

void Door::hear_line(GuestId id) {
    Guest& guest = guests_.at(id);
    const auto end = guest.heard.find('\n');
    if (end == std::string::npos) {
        if (!may_become_first_line(guest.heard)) refuse(id, "this is not the first line of a stream", ErrorCode::refused);
        return;
    }
    if (end + 1 != guest.heard.size()) {
        refuse(id, "nothing may be said before the door has answered", ErrorCode::refused);
        return;
    }
    std::string line = std::exchange(guest.heard, {});
    line.pop_back();
    if (line.ends_with('\r')) line.pop_back();
    serve(id, line);
}

void Door::hear_go(GuestId id) {
    Guest& guest = guests_.at(id);
    if (guest.heard.size() < kDoorGo.size() && kDoorGo.starts_with(guest.heard)) return;
    if (guest.heard != kDoorGo) {
        refuse(id, "GO was expected", ErrorCode::refused);
        return;
    }
    guest.heard.clear();
    // Only now is the pass used: whoever did not get the answer may come with it again.
    if (const auto spent = book_.spend(guest.pass, guest.renewal, targets_.wall_ms()); !spent) {
        targets_.log("debug", "the door refused a stream: " + spent.error().message);
        drop(id);
        return;
    }
    stop_watching(guest);
    begin(id);
}

Result<TicketBook::Pass> Door::judge(const FirstLine& said) const {
    auto pass = said.is_renewal ? book_.look_at(std::string(said.pass)) : Result<TicketBook::Pass>();
    if (!said.is_renewal) {
        const auto claims = targets_.open_ticket(said.pass);
        if (!claims) return tl::unexpected(claims.error());
        pass = book_.look_at(*claims, targets_.wall_ms());
    }
    if (pass && pass->claims.purpose != said.purpose) return failure(ErrorCode::refused, "the ticket is for another kind of stream");
    return pass;
}

void Door::serve(GuestId id, const std::string& line) {
    const auto said = parse_first_line(line);
    if (!said) {
        refuse(id, said.error().message, said.error().code);
        return;
    }
    auto pass = judge(*said);
    if (!pass) {
        refuse(id, pass.error().message, pass.error().code);
        return;
    }
    make_room_for_ticket(pass->claims.serial);
    if (guests_.size() - waiting_room_.size() >= kConnections) {
        refuse(id, "this node serves too many streams");
        return;
    }
    Guest& guest = guests_.at(id);
    guest.purpose = said->purpose;
    guest.pass = std::move(*pass);
    guest.renewal = targets_.new_renewal();
    const TicketClaims& claims = guest.pass.claims;
    if (const auto admitted = targets_.admits(claims); !admitted) {
        // Waiting here is shorter than being sent away and coming again.
        if (guest.purpose == Purpose::window && targets_.comes_up(claims)) wait_for_target(id);
        else refuse(id, admitted.error().message, admitted.error().code);
        return;
    }
    wait_for_target(id);
    if (guest.purpose == Purpose::checkpoint) {
        answer(id);
        return;
    }
    if (guest.purpose == Purpose::window) {
        if (const auto path = targets_.screen_socket(claims.session)) connect_target(id, *path);
        return;
    }
    const auto path = targets_.desktop_socket(claims.terminal);
    if (path) connect_target(id, *path);
    else refuse(id, path.error().message);
}

void Door::wait_for_target(GuestId id) {
    Guest& guest = guests_.at(id);
    guest.stage = Stage::held;
    waiting_room_.erase(id);
    if (guest.timer != 0) loop_.cancel(guest.timer);
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
        answer(id);
        return;
    }
    if (errno == EAGAIN) {  // its queue is full
        guest.stage = Stage::held;
        guest.target.reset();
        loop_.after(kConnectPause, [this, session = guest.pass.claims.session] { retry_held(session); });
        return;
    }
    refuse(id, std::string("the X server does not take connections: ") + std::strerror(errno));
}

void Door::answer(GuestId id) {
    Guest& guest = guests_.at(id);
    guest.stage = Stage::answered;
    if (guest.timer != 0) loop_.cancel(guest.timer);
    guest.timer = loop_.after(kLinePatience, [this, id] {
        guests_.at(id).timer = 0;
        refuse(id, "GO did not come in time");
    });
    say(guest.socket.get(), "OK " + guest.renewal + "\n");
}

void Door::begin(GuestId id) {
    Guest& guest = guests_.at(id);
    if (guest.purpose == Purpose::checkpoint) {
        hand_over(id);
        return;
    }
    guest.stage = Stage::spliced;
    guest.pair = std::make_unique<SplicedPair>(loop_, std::move(guest.socket), std::move(guest.target), [this, id] { drop(id); });
}

void Door::hand_over(GuestId id) {
    Guest& guest = guests_.at(id);
    guest.stage = Stage::handed_over;
    guest.handle.reset(::fcntl(guest.socket.get(), F_DUPFD_CLOEXEC, 0));
    const auto taken = targets_.take_checkpoints(guest.pass.claims, std::move(guest.socket), [this, id] {
        loop_.post([this, id] { drop(id); });
    });
    if (taken) return;
    targets_.log("warning", "a checkpoint stream was admitted and could not be served: " + taken.error().message);
    drop(id);
}

void Door::refuse(GuestId id, const std::string& reason, ErrorCode code) {
    Guest& guest = guests_.at(id);
    targets_.log("debug", "the door refused a stream: " + reason);
    say(guest.socket.get(), (code == ErrorCode::unavailable ? "NO " : "VOID ") + reason.substr(0, 500) + "\n");
    drop(id);  // the pump brings the words out before it ends the connection
}

void Door::stop_watching(Guest& guest) {
    if (guest.watch != 0) loop_.unwatch(std::exchange(guest.watch, 0));
    if (guest.timer != 0) loop_.cancel(std::exchange(guest.timer, 0));
}

void Door::drop(GuestId id) {
    const auto found = guests_.find(id);
    if (found == guests_.end()) return;
    stop_watching(found->second);
    waiting_room_.erase(id);
    if (found->second.handle) ::shutdown(found->second.handle.get(), SHUT_RDWR);
    guests_.erase(found);
}

void Door::recheck() {
    book_.forget([this](const TicketClaims& claims) {
        const auto admitted = targets_.admits(claims);
        return !admitted && admitted.error().code == ErrorCode::refused;
    });
    std::vector<GuestId> stale;
    for (const auto& [id, guest] : guests_) {
        if (guest.stage == Stage::line || targets_.admits(guest.pass.claims)) continue;
        if (guest.stage != Stage::held || !targets_.comes_up(guest.pass.claims)) stale.push_back(id);
    }
    for (const auto id : stale) drop(id);
}

void Door::cut_all() {
    while (!guests_.empty()) drop(guests_.begin()->first);
}

void Door::retry_held(SessionId session) {
    std::vector<GuestId> waiting;
    for (const auto& [id, guest] : guests_) {
        if (guest.stage == Stage::held && guest.pass.claims.session == session) waiting.push_back(id);
    }
    for (const auto id : waiting) {
        const auto path = targets_.screen_socket(session);
        if (!path) return;
        if (const auto admitted = targets_.admits(guests_.at(id).pass.claims); admitted) connect_target(id, *path);
        else refuse(id, admitted.error().message);
    }
}

std::vector<int> Door::window_connections(SessionId session) const {
    std::vector<int> sockets;
    for (const auto& [id, guest] : guests_) {
        if (guest.purpose != Purpose::window || guest.pass.claims.session != session) continue;
        if (guest.pair) sockets.push_back(guest.pair->right());
        else if (guest.stage == Stage::answered) sockets.push_back(guest.target.get());
    }
    return sockets;
}

}  // namespace understudy::node
