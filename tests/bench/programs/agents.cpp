// Many agents in one process: each with a CURVE connection of its own, registering and then breathing as fast as it
// is answered. For measuring what a heartbeat costs whoever answers: the manager, or bench-router.
//
//   bench-agents keys --count N --out FILE            makes key pairs: one line "PUBLIC SECRET" each
//   bench-agents run --keys FILE --first-node N --endpoint E --server-key K --seconds S --in-flight N
//
// `run` prints a line of JSON when every agent is registered ("ready"), and another one at the end. It waits for a
// line on its standard input in between, so that whoever measures knows when the clock runs.
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <deque>
#include <fstream>
#include <iostream>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include "protocol/codec.hpp"

namespace {

using namespace understudy;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Keys {
    std::string public_key;
    std::string secret_key;
};

int make_keys(std::size_t count, const std::string& out) {
    std::ofstream file(out);
    for (std::size_t i = 0; i < count; ++i) {
        std::array<char, 41> public_key{};
        std::array<char, 41> secret_key{};
        zmq_curve_keypair(public_key.data(), secret_key.data());
        file << public_key.data() << ' ' << secret_key.data() << '\n';
    }
    file.close();
    if (file) return 0;
    std::cerr << "cannot write " << out << '\n';
    return 1;
}

struct Options {
    std::string keys;
    std::string endpoint;
    std::string server_key;
    std::uint64_t first_node = 1;
    double seconds = 5;
    std::size_t in_flight = 64;  ///< heartbeats that are not answered yet, of all agents together
};

/// One agent: says Hello until it is welcome, then breathes whenever the last breath was answered.
class Agent {
  public:
    Agent(zmq::context_t& context, const Options& options, const Keys& keys, std::uint64_t node)
        : socket_(context, zmq::socket_type::dealer), endpoint_(options.endpoint), node_(node) {
        socket_.set(zmq::sockopt::curve_serverkey, options.server_key);
        socket_.set(zmq::sockopt::curve_publickey, keys.public_key);
        socket_.set(zmq::sockopt::curve_secretkey, keys.secret_key);
        socket_.set(zmq::sockopt::linger, 0);
    }

    void greet() {
        if (hellos_ == 0) socket_.connect(endpoint_);
        Hello hello;
        hello.node = NodeId(node_);
        hello.incarnation = node_;
        hello.number = ++hellos_;
        hello.software = "bench";
        hello.slots = 1;
        hello.door_port = 1;
        say(hello);
    }

    void breathe() { say(Heartbeat{registration_, ++breaths_, 0, 0}); }

    /// True: an answer to a heartbeat was among what came.
    bool hear() {
        bool answered = false;
        zmq::message_t frame;
        while (socket_.recv(frame, zmq::recv_flags::dontwait)) {
            const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
            if (!envelope) continue;
            if (const auto* welcome = std::get_if<Welcome>(&envelope->message)) registration_ = welcome->registration;
            answered = answered || std::holds_alternative<HeartbeatAck>(envelope->message);
        }
        return answered;
    }

    [[nodiscard]] bool welcome() const { return registration_ != 0; }
    [[nodiscard]] zmq::pollitem_t item() { return {socket_.handle(), 0, ZMQ_POLLIN, 0}; }

  private:
    void say(Message message) {
        const Bytes bytes = encode({node_, ++said_, std::move(message)});
        static_cast<void>(socket_.send(zmq::buffer(bytes), zmq::send_flags::dontwait));
    }

    zmq::socket_t socket_;
    std::string endpoint_;
    std::uint64_t node_;
    std::uint64_t registration_ = 0;
    std::uint64_t hellos_ = 0;
    std::uint64_t breaths_ = 0;
    std::uint64_t said_ = 0;
};

/// Connects and registers everybody, a few hundred at a time: handshakes cost both sides, and of thousands that are begun at
/// once none ends in time.
void register_all(std::vector<std::unique_ptr<Agent>>& agents) {
    constexpr std::size_t kAtOnce = 200;
    constexpr auto kAgain = milliseconds(2000);
    const auto limit = Clock::now() + std::chrono::seconds(240);
    for (std::size_t first = 0; first < agents.size(); first += kAtOnce) {
        const std::size_t last = std::min(agents.size(), first + kAtOnce);
        auto greet_at = Clock::now();
        for (bool all = false; !all;) {
            if (Clock::now() > limit) throw std::runtime_error("not every agent was welcome in time");
            const bool greet = Clock::now() >= greet_at;
            if (greet) greet_at = Clock::now() + kAgain;
            all = true;
            std::vector<zmq::pollitem_t> items;
            for (std::size_t i = first; i < last; ++i) {
                agents[i]->hear();
                if (agents[i]->welcome()) continue;
                all = false;
                if (greet) agents[i]->greet();
                items.push_back(agents[i]->item());
            }
            if (!all) zmq::poll(items, milliseconds(20));
        }
    }
}

std::uint64_t breathe_for(std::vector<std::unique_ptr<Agent>>& agents, double seconds, std::size_t in_flight) {
    // Whoever waits for an answer, in the order in which they asked; the others wait their turn.
    std::deque<Agent*> resting;
    for (auto& agent : agents) resting.push_back(agent.get());
    std::deque<Agent*> waiting;
    std::uint64_t answered = 0;
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    while (Clock::now() < end) {
        while (!resting.empty() && waiting.size() < in_flight) {
            Agent* next = resting.front();
            resting.pop_front();
            next->breathe();
            waiting.push_back(next);
        }
        std::size_t heard = 0;
        for (std::size_t left = waiting.size(); left > 0; --left) {
            Agent* asked = waiting.front();
            waiting.pop_front();
            if (asked->hear()) {
                ++heard;
                resting.push_back(asked);
            } else {
                waiting.push_back(asked);
            }
        }
        answered += heard;
        if (heard == 0) {
            std::vector<zmq::pollitem_t> items;
            for (Agent* asked : waiting) items.push_back(asked->item());
            zmq::poll(items, milliseconds(20));
        }
    }
    return answered;
}

int run(const Options& options) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    zmq::context_t context(1);
    context.set(zmq::ctxopt::max_sockets, 20000);
    std::vector<std::unique_ptr<Agent>> agents;
    std::ifstream file(options.keys);
    for (Keys keys; file >> keys.public_key >> keys.secret_key;) {
        agents.push_back(std::make_unique<Agent>(context, options, keys, options.first_node + agents.size()));
    }
    if (agents.empty()) throw std::runtime_error("there are no keys in " + options.keys);
    register_all(agents);
    std::cout << nlohmann::json{{"ready", agents.size()}}.dump() << std::endl;
    std::string line;
    std::getline(std::cin, line);
    const auto began = Clock::now();
    const std::uint64_t answered = breathe_for(agents, options.seconds, options.in_flight);
    const double took = std::chrono::duration<double>(Clock::now() - began).count();
    std::cout << nlohmann::json{{"answered", answered}, {"seconds", took}}.dump() << std::endl;
    std::getline(std::cin, line);  // connected until whoever measures has looked
    return 0;
}

}  // namespace

int main(int count, char** words) {
    CLI::App program{"Many agents in one process"};
    program.require_subcommand(1);
    std::size_t keys = 1;
    std::string out;
    Options options;
    CLI::App& make = *program.add_subcommand("keys", "make key pairs");
    make.add_option("--count", keys)->required();
    make.add_option("--out", out)->required();
    CLI::App& breathe = *program.add_subcommand("run", "register and breathe");
    breathe.add_option("--keys", options.keys)->required();
    breathe.add_option("--endpoint", options.endpoint)->required();
    breathe.add_option("--server-key", options.server_key)->required();
    breathe.add_option("--first-node", options.first_node, "number of the first agent; the others follow");
    breathe.add_option("--seconds", options.seconds);
    breathe.add_option("--in-flight", options.in_flight);
    CLI11_PARSE(program, count, words);
    try {
        return make.parsed() ? make_keys(keys, out) : run(options);
    } catch (const std::exception& problem) {
        std::cerr << problem.what() << '\n';
        return 1;
    }
}
