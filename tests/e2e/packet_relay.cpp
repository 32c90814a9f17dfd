// packet-relay: holds the packets that an iptables rule sends to a queue, lets them go after a delay that differs
// from packet to packet, so that later ones overtake earlier ones, and sends some of them twice. The kernel's own
// tool for this is a module that test machines often lack. Ends by itself.
#include <arpa/inet.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
extern "C" {  // which this header leaves to others
#include <libnetfilter_queue/libnetfilter_queue_tcp.h>
}
#include <linux/netfilter.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "manager/runtime/unique_fd.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using understudy::manager::UniqueFd;

struct Options {
    std::uint16_t queue = 1;
    std::uint32_t delay_ms = 0;       ///< every packet waits this long
    std::uint32_t jitter_ms = 0;      ///< and up to this much longer, by chance
    std::uint32_t twice_percent = 0;  ///< of the packets are sent a second time
    std::uint32_t seconds = 120;      ///< it ends by itself
    std::uint32_t mark = 1;           ///< of the second ones: the rule must leave them alone
    std::uint32_t seed = 1;
};

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

UniqueFd raw_socket(std::uint32_t mark) {
    UniqueFd made(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    if (!made || setsockopt(made.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) give_up("a raw socket");
    return made;
}

/// Packets on their way: held until their time has come.
class Relay {
public:
    explicit Relay(const Options& options)
        : options_(options), chance_(options.seed), raw_(raw_socket(options.mark)), handle_(nfq_open(), &nfq_close) {
        if (!handle_) give_up("netfilter queues");
        queue_.reset(nfq_create_queue(handle_.get(), options.queue, &Relay::on_packet, this));
        if (!queue_ || nfq_set_mode(queue_.get(), NFQNL_COPY_PACKET, 0xffff) < 0) {
            give_up("queue " + std::to_string(options.queue));
        }
        nfq_set_queue_maxlen(queue_.get(), 16384);
        const int room = 8 << 20;
        setsockopt(descriptor(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    }

    [[nodiscard]] int descriptor() const { return nfq_fd(handle_.get()); }

    void receive() {
        const ssize_t size = recv(descriptor(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (size > 0) nfq_handle_packet(handle_.get(), buffer_.data(), static_cast<int>(size));
    }

    /// Lets go what is due at `now`; returns the milliseconds until the next is due, at most `most`.
    int release(Clock::time_point now, int most) {
        while (!held_.empty() && held_.begin()->first <= now) {
            const std::uint32_t id = held_.begin()->second;
            held_.erase(held_.begin());
            nfq_set_verdict(queue_.get(), id, NF_ACCEPT, 0, nullptr);
            if (id < newest_) ++overtaken_;
            newest_ = std::max(newest_, id);
            ++passed_;
        }
        if (held_.empty()) return most;
        const auto wait = std::chrono::ceil<milliseconds>(held_.begin()->first - now);
        return static_cast<int>(std::min<std::int64_t>(wait.count(), most));
    }

    void report() const {
        std::printf("passed %llu, overtaken %llu, sent twice %llu\n", passed_, overtaken_, twice_);
        std::fflush(stdout);
    }

private:
    static int on_packet(nfq_q_handle*, nfgenmsg*, nfq_data* data, void* self) {
        static_cast<Relay*>(self)->hold(data);
        return 0;
    }

    void hold(nfq_data* data) {
        const nfqnl_msg_packet_hdr* header = nfq_get_msg_packet_hdr(data);
        if (header == nullptr) return;
        const auto more = static_cast<std::uint32_t>(chance_() % (options_.jitter_ms + 1));
        held_.emplace(Clock::now() + milliseconds(options_.delay_ms + more), ntohl(header->packet_id));
        unsigned char* payload = nullptr;
        const int size = nfq_get_payload(data, &payload);
        if (size > 0 && chance_() % 100 < options_.twice_percent) send_again(payload, static_cast<std::size_t>(size));
    }

    /// At once: before the held first one, which then is the late duplicate.
    void send_again(unsigned char* payload, std::size_t size) {
        if (size < sizeof(iphdr)) return;
        auto* ip = reinterpret_cast<iphdr*>(payload);
        const std::size_t head = std::size_t{ip->ihl} * 4;
        if (ip->version != 4 || ip->protocol != IPPROTO_TCP || size < head + sizeof(tcphdr)) return;
        // On the loopback the sum is still to be done.
        nfq_tcp_compute_checksum_ipv4(reinterpret_cast<tcphdr*>(payload + head), ip);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = ip->daddr;
        if (sendto(raw_.get(), payload, size, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) > 0) ++twice_;
    }

    struct QueueEnd {
        void operator()(nfq_q_handle* queue) const { nfq_destroy_queue(queue); }
    };

    Options options_;
    std::minstd_rand chance_;
    UniqueFd raw_;
    std::unique_ptr<nfq_handle, int (*)(nfq_handle*)> handle_;
    std::unique_ptr<nfq_q_handle, QueueEnd> queue_;
    std::array<char, 70000> buffer_{};
    std::multimap<Clock::time_point, std::uint32_t> held_;
    std::uint32_t newest_ = 0;
    unsigned long long passed_ = 0, overtaken_ = 0, twice_ = 0;
};

UniqueFd ending_signals() {
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, nullptr);
    return UniqueFd(signalfd(-1, &ending, SFD_CLOEXEC));
}

void relay(const Options& options) {
    const UniqueFd ending = ending_signals();
    Relay relay(options);
    std::printf("ready\n");
    std::fflush(stdout);
    const auto end = Clock::now() + std::chrono::seconds(options.seconds);
    std::array<pollfd, 2> waiting{pollfd{relay.descriptor(), POLLIN, 0}, pollfd{ending.get(), POLLIN, 0}};
    for (auto now = Clock::now(); now < end; now = Clock::now()) {
        if (poll(waiting.data(), waiting.size(), relay.release(now, 1000)) <= 0) continue;
        if (waiting[1].revents != 0) break;
        if (waiting[0].revents != 0) relay.receive();
    }
    relay.release(Clock::time_point::max(), 0);
    relay.report();
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Delays, reorders and doubles the packets of a netfilter queue");
    app.add_option("--queue", options.queue, "number of the queue, as in the rule (-j NFQUEUE --queue-num)")->capture_default_str();
    app.add_option("--delay-ms", options.delay_ms, "every packet waits this long")->check(CLI::Range(0, 10000));
    app.add_option("--jitter-ms", options.jitter_ms, "and up to this much longer")->check(CLI::Range(0, 10000));
    app.add_option("--twice-percent", options.twice_percent, "so many are sent twice")->check(CLI::Range(0, 100));
    app.add_option("--seconds", options.seconds, "ends after this time")->check(CLI::Range(1, 3600))->capture_default_str();
    app.add_option("--mark", options.mark, "mark of the second ones, which the rule has to leave alone")->capture_default_str();
    app.add_option("--seed", options.seed, "of what is left to chance")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        relay(options);
        return 0;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "packet-relay: %s\n", problem.what());
        return 1;
    }
}
