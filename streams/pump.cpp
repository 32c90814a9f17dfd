// See pump.hpp.
#include "streams/pump.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include <openssl/ssl.h>

namespace understudy::streams {
namespace {

constexpr int kLocalBufferBytes = 64 * 1024;  ///< asked for; the kernel doubles it
constexpr std::size_t kEventsPerTurn = 64;

tl::unexpected<Error> unavailable(const char* what) {
    return failure(ErrorCode::unavailable, std::string(what) + ": " + std::strerror(errno));
}

std::string cannot_be_watched() { return std::string("the stream cannot be watched: ") + std::strerror(errno); }

void make_non_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

Pump::Pump(std::chrono::milliseconds handshake_patience, std::optional<int> niceness, Lapses lapses)
    : handshake_patience_(handshake_patience),
      niceness_(niceness),
      lapses_(std::move(lapses)),
      client_context_(make_client_context()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    problem_ = set_up();
}

/// What is wrong with it; empty: its thread runs.
std::string Pump::set_up() {
    if (!client_context_) return "no TLS context: " + tls_problem();
    if (epoll_.get() < 0 || wake_.get() < 0 || !add(wake_.get(), EPOLLIN, tag(0, Of::tcp))) return std::string("streams cannot be watched: ") + std::strerror(errno);
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
        return std::string("no thread for streams: ") + error.what();
    }
    return {};
}

bool Pump::add(int fd, std::uint32_t wanted, std::uint64_t tag) {
    epoll_event event{};
    event.events = wanted;
    event.data.u64 = tag;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

Pump::~Pump() {
    if (!thread_.joinable()) return;
    stopping_.store(true);
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    thread_.join();
}

Result<std::pair<OwnedFd, OwnedFd>> Pump::make_local() const {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return unavailable("no local socket for a stream");
    for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kLocalBufferBytes, sizeof kLocalBufferBytes);
    return std::pair(OwnedFd(ends[0]), OwnedFd(ends[1]));
}

Result<> Pump::hand_in(Fresh fresh) {
    if (!problem_.empty()) return failure(ErrorCode::unavailable, problem_ + "; start this program again when there is room");
    if (count_.fetch_add(1) >= kStreams) {
        count_.fetch_sub(1);
        return failure(ErrorCode::limit, "this program serves too many streams");
    }
    {
        const std::lock_guard lock(mutex_);
        handed_in_.push_back(std::move(fresh));
    }
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    return {};
}

Result<Secured> Pump::secure_as_server(OwnedFd tcp, const DoorIdentity& identity) {
    auto local = make_local();
    if (!local) return tl::unexpected(local.error());
    make_non_blocking(tcp.get());
    auto ending = std::make_shared<Ending>();
    auto taken = hand_in({std::make_unique<SecuredStream>(std::move(tcp), std::move(local->first), identity, ending), {}});
    if (!taken) return tl::unexpected(taken.error());
    return Secured{std::move(local->second), std::move(ending)};
}

Result<Secured> Pump::dial(const Endpoint& door) {
    if (door.key.empty()) return failure(ErrorCode::refused, "the manager does not know this door's key yet");
    auto dial = Dial::to(door);
    if (!dial) return tl::unexpected(dial.error());
    auto local = make_local();
    if (!local) return tl::unexpected(local.error());
    TlsSession session(client_context_ ? SSL_new(client_context_.get()) : nullptr);
    if (!session) return failure(ErrorCode::unavailable, "no TLS session: " + tls_problem());
    auto ending = std::make_shared<Ending>();
    auto taken = hand_in({std::make_unique<SecuredStream>(std::move(local->first), std::move(session), door.key, ending), std::move(*dial)});
    if (!taken) return tl::unexpected(taken.error());
    return Secured{std::move(local->second), std::move(ending)};
}

void Pump::run() {
    // Signals are for the owner; and OpenSSL writes to sockets that may be gone, whose signal ends here.
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    // Without the right to be less nice than whoever made us, we are as nice as they are.
    if (niceness_) (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), *niceness_);
    std::array<epoll_event, kEventsPerTurn> events{};
    while (!stopping_.load()) {
        int handshakes_left = kHandshakesPerTurn;
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), patience_ms());
        for (int at = 0; at < count; ++at) {
            const auto& event = events[static_cast<std::size_t>(at)];
            const Id id = event.data.u64 / 4;
            const Of of{event.data.u64 % 4};
            heed_lapse();
            if (id == 0) take_in();
            else if (of == Of::attempt) hear_attempt(id);
            else if (of == Of::local) serve(id, 0, event.events);
            else if (!shakes_hands(id) || handshakes_left-- > 0) serve(id, event.events, 0);  // level-triggered: it comes again, behind the others
        }
        drop_late();
    }
}

void Pump::take_in() {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
    std::vector<Fresh> fresh;
    {
        const std::lock_guard lock(mutex_);
        fresh.swap(handed_in_);
    }
    for (auto& one : fresh) take_in(std::move(one));
}

void Pump::take_in(Fresh fresh) {
    const Id id = next_++;
    Row& row = rows_[id];
    row.stream = std::move(fresh.stream);
    row.dial = std::move(fresh.dial);
    row.give_up_at = Clock::now() + handshake_patience_;
    expect(id, row, row.give_up_at);
    row.tcp_watched = row.stream->wanted_of_tcp();
    row.local_watched = row.stream->wanted_of_local();
    const bool watched = add(row.stream->local(), row.local_watched, tag(id, Of::local)) &&
                         (row.dial || add(row.stream->tcp(), row.tcp_watched, tag(id, Of::tcp)));
    if (watched) {
        if (row.dial) attempt(id);
        return;
    }
    give_up(rows_.find(id), cannot_be_watched());
}

void Pump::expect(Id id, Row& row, Clock::time_point deadline) {
    deadlines_.erase({row.deadline, id});
    row.deadline = deadline;
    deadlines_.emplace(deadline, id);
}

void Pump::attempt(Id id) {
    const auto found = rows_.find(id);
    Row& row = found->second;
    const int socket = row.dial->attempt();
    const bool watched = socket < 0 || add(socket, EPOLLOUT, tag(id, Of::attempt));
    if (!watched || row.dial->has_failed()) {
        give_up(found, watched ? row.dial->problem() : cannot_be_watched());
        return;
    }
    expect(id, row, row.dial->may_try_again() ? std::min(row.give_up_at, Clock::now() + row.dial->pause()) : row.give_up_at);
}

void Pump::hear_attempt(Id id) {
    const auto found = rows_.find(id);
    if (found == rows_.end() || !found->second.dial) return;  // decided by another attempt, in the same turn
    Row& row = found->second;
    OwnedFd connected = row.dial->take_connected();
    if (connected.get() >= 0) {
        epoll_event event{};
        event.events = row.tcp_watched;
        event.data.u64 = tag(id, Of::tcp);
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connected.get(), &event);
        row.stream->connected(std::move(connected));
        row.dial.reset();
        expect(id, row, row.give_up_at);
    } else if (row.dial->has_failed()) {
        give_up(found, row.dial->problem());
    }
}

void Pump::heed_lapse() {
    if (may_carry_()) return;
    lapses_heeded_ = lapses_();
    for (auto row = rows_.begin(); row != rows_.end();) {
        give_up(row++, std::string(kLapsed));
    }
}

bool Pump::shakes_hands(Id id) const {
    const auto row = rows_.find(id);
    return row != rows_.end() && row->second.next == SecuredStream::Next::handshake;
}

void Pump::serve(Id id, std::uint32_t tcp_events, std::uint32_t local_events) {
    const auto found = rows_.find(id);
    if (found == rows_.end()) return;  // dropped by an event of the same turn
    Row& row = found->second;
    if (row.dial) {  // only that its user has left can be told so early
        give_up(found, "given up before anybody answered");
        return;
    }
    const auto before = row.next;
    row.next = row.stream->advance(tcp_events, local_events, may_carry_);
    if (row.next == SecuredStream::Next::over) {
        drop(found);
        return;
    }
    if (row.next != before) {
        deadlines_.erase({row.deadline, id});
        if (row.next == SecuredStream::Next::closing) expect(id, row, Clock::now() + kLeavePatience);
    }
    watch(id, row);
}

void Pump::watch(Id id, Row& row) {
    epoll_event event{};
    if (const auto wanted = row.stream->wanted_of_tcp(); wanted != row.tcp_watched) {
        event.events = row.tcp_watched = wanted;
        event.data.u64 = tag(id, Of::tcp);
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, row.stream->tcp(), &event);
    }
    if (row.local_left) return;
    if (row.stream->local_has_gone()) {  // it would tell so for ever
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, row.stream->local(), nullptr);
        row.local_left = true;
    } else if (const auto wanted = row.stream->wanted_of_local(); wanted != row.local_watched) {
        event.events = row.local_watched = wanted;
        event.data.u64 = tag(id, Of::local);
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, row.stream->local(), &event);
    }
}

void Pump::drop_late() {
    const auto now = Clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        const auto found = rows_.find(deadlines_.begin()->second);
        Row& row = found->second;
        if (row.dial && now < row.give_up_at) {
            attempt(found->first);
            continue;
        }
        if (row.dial) row.stream->give_up(row.dial->problem());
        else row.stream->time_out();
        drop(found);
    }
}

void Pump::give_up(std::map<Id, Row>::iterator row, std::string why) {
    row->second.stream->give_up(std::move(why));
    drop(row);
}

void Pump::drop(std::map<Id, Row>::iterator row) {
    count_.fetch_sub(1);  // first: whoever sees the end may count
    deadlines_.erase({row->second.deadline, row->first});
    rows_.erase(row);
}

int Pump::patience_ms() const {
    if (deadlines_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

}  // namespace understudy::streams
