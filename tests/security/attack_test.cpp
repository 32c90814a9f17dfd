// What honest peers notice while somebody does his worst at the manager's port: the real manager, agents that say and
// obey what real ones do, and a desktop that fails over while the attack goes on. Every attack is bounded in number and
// time, and stays on loopback. What is compared was measured in the same run.
#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <thread>
#include <utility>

#include "protocol/codec.hpp"
#include "tests/security/attacker.hpp"
#include "tests/security/honest_site.hpp"

using namespace understudy;
using namespace understudy::security;
using namespace std::chrono_literals;
using Milliseconds = std::chrono::duration<double, std::milli>;

namespace {

constexpr std::uint64_t kMostGrowthKib = 96 * 1024;
constexpr std::size_t kMostDescriptors = 900;  ///< fewer than any system's usual limit

using Stop = std::atomic<bool>;
using Attack = std::function<void(const Stop& stop)>;

/// How the site does when nobody attacks it.
struct Peace {
    std::chrono::microseconds failover{};
    std::chrono::microseconds gap{};
};

/// Other load on this computer only slows; the faster of two is nearer to what the program does.
std::chrono::microseconds failover(HonestSite& site) {
    const auto first = site.fail_desktop();
    return std::min(first, site.fail_desktop());
}

HonestSite& site() {
    static HonestSite the_site;
    return the_site;
}

const Peace& peace() {
    static const Peace kPeace = [] {
        Peace measured;
        site().run_for(1s);
        measured.failover = failover(site());
        measured.gap = site().take_longest_gap();
        return measured;
    }();
    return kPeace;
}

/// An attack on a thread of its own; ends with this, however that comes about.
class Attacker {
  public:
    Attacker(const Attack& attack, Stop& stop) : stop_(stop), thread_([&attack, &stop] { attack(stop); }) {}
    ~Attacker() {
        stop_ = true;
        thread_.join();
    }

  private:
    Stop& stop_;
    std::thread thread_;
};

/// Lets the attack go on while heartbeats are counted and the desktop fails over, and judges.
void besiege(const Attack& attack) {
    const Peace& before = peace();
    const auto memory = site().manager_memory_kib();
    static_cast<void>(site().take_longest_gap());
    Stop stop = false;
    const Attacker attacker(attack, stop);
    site().run_for(1s);
    const auto took = failover(site());
    const auto gap = site().take_longest_gap();
    const auto descriptors = site().manager_descriptors();
    const auto grown = site().manager_memory_kib();
    stop = true;
    WARN("failover " << Milliseconds(took).count() << " ms (" << Milliseconds(before.failover).count() << " in peace), longest time between acknowledged heartbeats "
                     << Milliseconds(gap).count() << " ms (" << Milliseconds(before.gap).count() << "), memory +" << (grown > memory ? grown - memory : 0)
                     << " KiB, " << descriptors << " descriptors");
    CHECK(site().manager_runs());
    CHECK(site().leases_held());
    CHECK(took <= 2 * before.failover);
    CHECK(gap <= std::max<std::chrono::microseconds>(1s, 2 * before.gap));
    CHECK(grown < memory + kMostGrowthKib);
    CHECK(descriptors < kMostDescriptors);
}

std::uint64_t refused(const std::string& what) { return site().refusals().at(what); }

/// The same, once what an attack before this one left on its way has arrived.
std::uint64_t refused_at_rest(const std::string& what) {
    std::uint64_t count = refused(what);
    static_cast<void>(site().run_until([&] {
        site().run_for(300ms);
        const std::uint64_t before = std::exchange(count, refused(what));
        return before == count;
    }));
    return count;
}

void pause_for(std::chrono::microseconds time) { std::this_thread::sleep_for(time); }

/// A ZeroMQ client as somebody with a library would write it.
class Client {
  public:
    Client(const Keys* keys, const std::function<void(zmq::socket_t&)>& prepare = {}) {
        socket_.set(zmq::sockopt::linger, 0);
        socket_.set(zmq::sockopt::reconnect_ivl, 5);
        socket_.set(zmq::sockopt::sndhwm, 64);
        if (keys != nullptr) {
            socket_.set(zmq::sockopt::curve_serverkey, site().manager_key());
            socket_.set(zmq::sockopt::curve_publickey, keys->public_half);
            socket_.set(zmq::sockopt::curve_secretkey, keys->secret_half);
        }
        if (prepare) prepare(socket_);
        socket_.connect(site().endpoint());
    }
    void say(const Message& message) { say_bytes(encode({1, 1, message})); }
    void say_bytes(const Bytes& bytes) { static_cast<void>(socket_.send(zmq::buffer(bytes), zmq::send_flags::dontwait)); }

    void count_ends() {
        REQUIRE(zmq_socket_monitor(socket_.handle(), "inproc://ends", ZMQ_EVENT_DISCONNECTED) == 0);
        ends_.connect("inproc://ends");
    }
    /// How many of its connections the other side has ended since this was asked last.
    int ends() {
        int count = 0;
        zmq::message_t part;
        while (ends_.recv(part, zmq::recv_flags::dontwait)) count += part.more() ? 1 : 0;
        return count;
    }

  private:
    static zmq::context_t& context() {
        static zmq::context_t one{1};
        return one;
    }
    zmq::socket_t socket_{context(), zmq::socket_type::dealer};
    zmq::socket_t ends_{context(), zmq::socket_type::pair};  ///< behind the socket: gone before it
};

void allow_many_descriptors() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

TEST_CASE("attack: one raw connection that never says a word starves nobody") {
    besiege([](const Stop& stop) {
        const RawPeer idle(site().port());
        const RawPeer greeted(site().port());
        greeted.send(greeting());
        while (!stop) pause_for(10ms);
    });
}

TEST_CASE("attack: thousands of half-open connections are bounded before anybody has proven anything, and room is left for the honest") {
    allow_many_descriptors();
    std::atomic<int> opened = 0;
    besiege([&](const Stop& stop) {
        std::vector<RawPeer> peers;
        while (!stop) {
            std::erase_if(peers, [](const RawPeer& peer) { return !peer.stands(); });
            for (int i = 0; i < 20 && peers.size() < 3000; ++i, ++opened) peers.emplace_back(site().port());
            pause_for(10ms);
        }
    });
    WARN(opened << " connections opened, " << refused("cut_silent") << " cut");
    CHECK(opened > 1000);
    CHECK(refused("cut_silent") > 0);
}

TEST_CASE("attack: peers that send one byte per second end with their handshake's time, and slow nobody") {
    const std::string bytes = greeting() + hello_command();
    const auto began = std::chrono::steady_clock::now();
    std::vector<RawPeer> peers;
    for (int i = 0; i < 300; ++i) peers.emplace_back(site().port());
    const auto standing = [&peers] { return std::count_if(peers.begin(), peers.end(), [](const RawPeer& peer) { return peer.stands(); }); };
    CHECK(standing() == 300);
    std::size_t said = 0;
    const Attack drip = [&](const Stop& stop) {
        for (; !stop; ++said) {
            for (const RawPeer& peer : peers) peer.send(bytes.substr(said, 1));
            for (int part = 0; part < 100 && !stop; ++part) pause_for(10ms);
        }
    };
    besiege(drip);
    Stop stop = false;
    const Attacker attacker(drip, stop);  // as long as anybody listens
    CHECK(site().run_until([&] { return standing() == 0; }));
    const auto took = std::chrono::steady_clock::now() - began;
    WARN("300 of them were gone after " << Milliseconds(took).count() << " ms");
    CHECK(took < 15s);  // a handshake has 5; this computer may be busy
}

TEST_CASE("attack: connections that are cut off at every point of the handshake leave nothing behind") {
    const auto descriptors = site().manager_descriptors();
    std::atomic<int> cut = 0;
    besiege([&](const Stop& stop) {
        const std::string bytes = greeting() + hello_command();
        for (std::size_t at = 0; !stop; ++at, ++cut) {
            const RawPeer peer(site().port());
            peer.send(bytes.substr(0, at % (bytes.size() + 1)));
            pause_for(2ms);
        }
    });
    CHECK(cut > 100);
    CHECK(site().run_until([&] { return site().manager_descriptors() <= descriptors + 8; }));
}

TEST_CASE("attack: greetings, commands and frames of every wrong form reach no assertion") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::atomic<int> said = 0;
    besiege([&](const Stop& stop) {
        std::mt19937 random(seed);
        const auto any = [&random](std::size_t most) {
            std::string bytes(random() % (most + 1), '\0');
            for (char& byte : bytes) byte = static_cast<char>(random());
            return bytes;
        };
        const std::vector<std::function<std::string()>> forms{
            [&] { return any(300); },
            [&] { return greeting(any(20)) + any(200); },
            [&] { return greeting("CURVE", static_cast<char>(random()), static_cast<char>(random())) + any(100); },
            [&] { return greeting("NULL") + frame(4, 25, std::string("\x05READY\x0bSocket-Type\0\0\0\x06", 22) + "DEALER"); },
            [&] { return greeting("PLAIN") + frame(4, 9, std::string("\x05HELLO\x01u\x01p", 10)); },
            [&] { return greeting() + frame(static_cast<unsigned char>(random()), random(), any(260)); },
            [&] { return greeting() + frame(6, UINT64_MAX, any(100)); },
            [&] { return greeting() + frame(2, UINT64_MAX / 2 + 1, any(100)); },
            [&] { return greeting() + frame(4, 0, {}) + frame(0, 0, {}) + frame(1, 0, {}); },
            [&] { return greeting() + hello_command() + frame(4, 100, std::string("\x08INITIATE", 9) + any(400)); },
            [&] { return greeting() + frame(4, 6, std::string("\x04PING\0", 6)) + frame(4, 5, "\x04PONG"); },
            [&] { return greeting() + frame(4, 10, std::string("\x09SUBSCRIBE", 10) + any(60)) + frame(0, 1, "\x01"); },
            [&] { return greeting() + frame(4, 200, std::string("\x05HELLO\x01\0", 8) + any(192)); },
            [&] { return std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0", 14) + any(40); },  // ZMTP 2.0
            [&] { return std::string("\x01\0", 2) + any(60); },                                       // ZMTP 1.0
            [&] { return std::string("GET / HTTP/1.1\r\n\r\n"); }};
        while (!stop) {
            const RawPeer peer(site().port());
            peer.send(forms[random() % forms.size()]());
            pause_for(std::chrono::microseconds(random() % 4000));
            ++said;
        }
    });
    CHECK(said > 200);
}

TEST_CASE("attack: no key, keys that nobody entered and a revoked key knock as often as they like") {
    const auto denied = refused("denied");
    const Keys unknown = make_keys();
    besiege([&unknown](const Stop& stop) {
        std::vector<std::unique_ptr<Client>> clients;
        for (int i = 0; i < 4; ++i) {
            clients.push_back(std::make_unique<Client>(nullptr));
            clients.push_back(std::make_unique<Client>(&unknown));
            clients.push_back(std::make_unique<Client>(&site().revoked()));
            clients.push_back(std::make_unique<Client>(nullptr, [](zmq::socket_t& socket) {
                socket.set(zmq::sockopt::plain_username, "admin");
                socket.set(zmq::sockopt::plain_password, "admin");
            }));
        }
        // libzmq's own client gives up when it is refused; somebody who means it begins anew.
        for (std::size_t at = 0; !stop; ++at) {
            auto& client = clients[at % clients.size()];
            if (at % 4 == 1) client = std::make_unique<Client>(&unknown);
            if (at % 4 == 2) client = std::make_unique<Client>(&site().revoked());
            client->say(AdminRequest{1, "kill", {"node=1", "reason=evil"}});
            pause_for(5ms);
        }
    });
    CHECK(refused("denied") > denied + 100);
    CHECK(site().log().find("evil") == std::string::npos);
}

TEST_CASE("attack: an admitted key that floods with what its role may not say, and with nonsense, is answered and slows nobody") {
    const auto out_of_role = refused("out_of_role");
    const auto undecodable = refused("undecodable");
    besiege([](const Stop& stop) {
        Client kiosk(&site().kiosk());
        while (!stop) {
            for (int i = 0; i < 50; ++i) {
                kiosk.say(Heartbeat{});
                kiosk.say(AdminRequest{1, "kill", {"node=1", "reason=evil"}});
                kiosk.say(TerminalAttach{"desk", 0, 0, 0});
                kiosk.say_bytes(Bytes(200, 0xc1));
            }
            pause_for(1ms);
        }
    });
    CHECK(refused("out_of_role") > out_of_role + 100);
    CHECK(refused("undecodable") > undecodable + 100);
}

TEST_CASE("attack: messages above the limit end their connection before they are in memory") {
    const auto undecodable = refused_at_rest("undecodable");
    std::atomic<int> cut = 0;
    besiege([&cut](const Stop& stop) {
        const Bytes large(8 << 20, 7);
        Client kiosk(&site().kiosk());
        kiosk.count_ends();
        while (!stop) {
            kiosk.say_bytes(large);
            cut += kiosk.ends();
            pause_for(20ms);
        }
    });
    WARN(cut << " connections ended");
    CHECK(cut > 5);
    CHECK(refused_at_rest("undecodable") == undecodable);  // nobody has looked at one of them
}

TEST_CASE("attack: whoever asks and never reads the answers is cut off before they fill the memory") {
    const auto cut = refused("cut_unread");
    besiege([](const Stop& stop) {
        Client observer(&site().observer(), [](zmq::socket_t& socket) {
            socket.set(zmq::sockopt::rcvhwm, 1);
            socket.set(zmq::sockopt::rcvbuf, 4096);
        });
        while (!stop) {
            for (std::uint64_t i = 0; i < 20; ++i) observer.say(AdminRequest{i, "view", {}});
            pause_for(5ms);
        }
    });
    WARN(refused("cut_unread") - cut << " connections cut");
    CHECK(refused("cut_unread") > cut);
}

TEST_CASE("attack: routing ids that peers choose, double and change confuse nobody") {
    besiege([](const Stop& stop) {
        while (!stop) {
            std::vector<std::unique_ptr<Client>> clients;
            for (int i = 0; i < 40; ++i) {
                clients.push_back(std::make_unique<Client>(&site().kiosk(), [i](zmq::socket_t& socket) {
                    socket.set(zmq::sockopt::routing_id, i % 4 == 0 ? std::string("the same") : std::string(250, 'a') + std::to_string(i));
                }));
                clients.back()->say(TerminalDetach{"kiosk"});
            }
            for (int part = 0; part < 20 && !stop; ++part) pause_for(10ms);
        }
    });
}

namespace {

/// Passes bytes on between a client and the manager, and keeps what the client said.
class Eavesdropper {
  public:
    Eavesdropper() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof where;
        REQUIRE(::bind(listener_, reinterpret_cast<const sockaddr*>(&where), size) == 0);
        REQUIRE(::listen(listener_, 1) == 0);
        REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size) == 0);
        port_ = ntohs(where.sin_port);
        worker_ = std::thread([this] { pass_on(); });
    }
    ~Eavesdropper() {
        stop_ = true;
        worker_.join();
        ::close(listener_);
    }
    [[nodiscard]] std::string endpoint() const { return "tcp://127.0.0.1:" + std::to_string(port_); }
    /// Ends the connection. What the client said, piece by piece.
    [[nodiscard]] std::vector<std::string> heard() {
        stop_ = true;
        worker_.join();
        worker_ = std::thread([] {});
        return heard_;
    }

  private:
    void pass_on() {
        pollfd coming{listener_, POLLIN, 0};
        while (!stop_ && ::poll(&coming, 1, 20) == 0) {
        }
        if (stop_) return;
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        const int manager = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(site().port());
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::connect(manager, reinterpret_cast<const sockaddr*>(&where), sizeof where);
        std::array<char, 65536> bytes{};
        while (!stop_) {
            pollfd both[2] = {{client, POLLIN, 0}, {manager, POLLIN, 0}};
            ::poll(both, 2, 20);
            for (int from = 0; from < 2; ++from) {
                if ((both[from].revents & POLLIN) == 0) continue;
                const ssize_t got = ::recv(both[from].fd, bytes.data(), bytes.size(), 0);
                if (got <= 0) {
                    stop_ = true;
                    break;
                }
                if (from == 0) heard_.emplace_back(bytes.data(), static_cast<std::size_t>(got));
                static_cast<void>(::send(both[1 - from].fd, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL));
            }
        }
        ::close(client);
        ::close(manager);
    }

    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> stop_ = false;
    std::vector<std::string> heard_;
    std::thread worker_;
};

}  // namespace

TEST_CASE("attack: what was overheard of an administrator's connection does nothing when it is said again") {
    std::vector<std::string> heard;
    const std::size_t acts = site().acts_recorded();
    {
        Eavesdropper ear;
        HonestSite::Asked asked = site().ask_through(ear.endpoint(), "pool", {"flavour=small", "min_idle=0", "reason=overheard"});
        REQUIRE(site().run_until([&] { return asked.answered(); }));
        heard = ear.heard();
    }
    REQUIRE(site().acts_recorded() == acts + 1);
    REQUIRE(heard.size() > 3);
    besiege([&](const Stop& stop) {
        while (!stop) {
            const RawPeer again(site().port());
            for (const std::string& piece : heard) {
                again.send(piece);
                pause_for(2ms);
            }
        }
    });
    CHECK(site().acts_recorded() == acts + 1);
}
