// See witness.hpp. A connection alone shows nothing: user-mode networks accept for a guest before they know
// whether it listens. So something is said that is no ticket, and any answer counts; it comes through TLS, so that
// nobody else than the suspect can have given it.
#include "nodes/agent/witness.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

namespace understudy::node {

Witnesses::~Witnesses() {
    for (auto& [id, probe] : probes_) {
        loop_.unwatch(probe.watch);
        loop_.cancel(probe.timer);
    }
}

void Witnesses::probe(const Endpoint& endpoint, std::function<void(bool, Duration)> answer) {
    auto secured = probes_.size() < kAtOnce ? pump_.dial(endpoint) : failure(ErrorCode::limit, "too many probes");
    if (!secured) {
        answer(false, Duration::zero());
        return;
    }
    const auto id = next_++;
    Probe& probe = probes_[id];
    probe.socket.reset(secured->socket.release());
    probe.began = loop_.now();
    probe.answer = std::move(answer);
    const std::string line = "?\n";
    [[maybe_unused]] const auto sent = ::send(probe.socket.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    probe.watch = loop_.watch(probe.socket.get(), EPOLLIN, [this, id](std::uint32_t) {
        char answered = '\0';
        conclude(id, ::recv(probes_.at(id).socket.get(), &answered, 1, MSG_DONTWAIT) == 1);
    });
    probe.timer = loop_.after(kPatience, [this, id] { conclude(id, false); });
}

void Witnesses::conclude(std::uint64_t id, bool reached) {
    auto node = probes_.extract(id);
    Probe& probe = node.mapped();
    loop_.unwatch(probe.watch);
    loop_.cancel(probe.timer);
    probe.answer(reached, loop_.now() - probe.began);
}

}  // namespace understudy::node
