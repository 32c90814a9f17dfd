// See machine.hpp. One thread of ours; time passes in its loop alone.
#include "tests/bench/programs/machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include <zmq.hpp>

#include "protocol/codec.hpp"
#include "tests/golden/fake_node.hpp"

namespace understudy::bench {
namespace {

using namespace std::chrono_literals;

class Machine : public golden::Surroundings {
  public:
    explicit Machine(const MachineOptions& options)
        : options_(options), manager_(connect(options.manager)), bare_(context_, zmq::socket_type::dealer),
          node_(*this, NodeId(options.node), static_cast<std::uint64_t>(now().time_since_epoch().count()), options.slots) {
        if (!options.bare.empty()) {
            bare_ = connect(options.bare);
            bare_.send(zmq::str_buffer("here"), zmq::send_flags::none);
        }
        node_.start();
    }

    void turn() {
        const TimePoint due = later_.empty() ? now() + 1s : later_.front().at;
        zmq::pollitem_t item{manager_.handle(), 0, ZMQ_POLLIN, 0};
        zmq::poll(&item, 1, std::clamp(std::chrono::ceil<std::chrono::milliseconds>(due - now()), 0ms, 1000ms));
        zmq::message_t frame;
        while (manager_.recv(frame, zmq::recv_flags::dontwait)) {
            if (const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()})) node_.hear(envelope->message);
        }
        while (!later_.empty() && later_.front().at <= now()) {
            const auto act = std::move(later_.front().act);
            later_.erase(later_.begin());
            act();
        }
    }

  private:
    struct Later {
        TimePoint at;
        std::function<void()> act;
    };

    zmq::socket_t connect(const std::string& endpoint) {
        zmq::socket_t socket(context_, zmq::socket_type::dealer);
        socket.set(zmq::sockopt::linger, 0);
        socket.set(zmq::sockopt::curve_serverkey, options_.server_key);
        socket.set(zmq::sockopt::curve_publickey, options_.public_key);
        socket.set(zmq::sockopt::curve_secretkey, options_.secret_key);
        socket.connect("tcp://" + options_.address + ":0;" + endpoint.substr(std::string("tcp://").size()));
        return socket;
    }

    [[nodiscard]] TimePoint now() const override {
        return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
    }
    [[nodiscard]] std::int64_t wall_ms() const override {
        return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    }
    void later(Duration delay, std::function<void()> act) override {
        const TimePoint at = now() + delay;
        const auto place = std::find_if(later_.begin(), later_.end(), [at](const Later& one) { return one.at > at; });
        later_.insert(place, {at, std::move(act)});
    }
    void to_manager(NodeId, Message message) override {
        static_cast<void>(manager_.send(zmq::buffer(encode({options_.node, ++said_, std::move(message)})), zmq::send_flags::dontwait));
    }
    golden::FakeNode* peer(NodeId, NodeId) override { return nullptr; }  // the others are other processes

    MachineOptions options_;
    zmq::context_t context_{1};
    zmq::socket_t manager_;
    zmq::socket_t bare_;
    std::vector<Later> later_;  ///< the next one first
    std::uint64_t said_ = 0;
    golden::FakeNode node_;
};

}  // namespace

void run_machine(const MachineOptions& options) {
    Machine machine(options);
    for (const pid_t parent = ::getppid(); ::getppid() == parent;) machine.turn();
    ::_exit(0);
}

}  // namespace understudy::bench
