// The limit for fan-in: a ROUTER with CURVE and an allow-everybody handler that does nothing with a message but
// answer it. Answers a Hello with a Welcome and everything else with one HeartbeatAck, made once.
//
//   bench-router                 prints "ENDPOINT PUBLIC-KEY" and answers until its standard input ends
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <iostream>

#include <zmq.hpp>
#include <zmq_addon.hpp>

#include "protocol/codec.hpp"

namespace {

using namespace understudy;

void admit(zmq::socket_t& handler) {
    std::vector<zmq::message_t> question;
    while (zmq::recv_multipart(handler, std::back_inserter(question), zmq::recv_flags::dontwait)) {
        const std::string request = question.size() > 1 ? question[1].to_string() : std::string();
        const std::array<std::string, 6> answer{"1.0", request, "200", "welcome", "anybody", ""};
        for (std::size_t i = 0; i < answer.size(); ++i) {
            handler.send(zmq::buffer(answer[i]), i + 1 < answer.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
        }
        question.clear();
    }
}

void serve(zmq::socket_t& router, zmq::socket_t& handler) {
    const Bytes welcome = encode({1, 1, Welcome{1, 1, 1, 1000, 10000, "key"}});
    const Bytes ack = encode({1, 1, HeartbeatAck{1, 1}});
    std::array<zmq::pollitem_t, 3> items{{{router.handle(), 0, ZMQ_POLLIN, 0}, {handler.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, STDIN_FILENO, ZMQ_POLLIN, 0}}};
    for (;;) {
        zmq::poll(items.data(), items.size(), std::chrono::milliseconds(-1));
        if (items[2].revents != 0) return;
        admit(handler);
        zmq::message_t routing;
        while (router.recv(routing, zmq::recv_flags::dontwait)) {
            zmq::message_t payload;
            static_cast<void>(router.recv(payload, zmq::recv_flags::none));
            // The type stands behind magic and version: a Hello is the first.
            const auto* bytes = payload.data<std::uint8_t>();
            const bool hello = payload.size() > 5 && bytes[4] == 0 && bytes[5] == 1;
            router.send(routing, zmq::send_flags::sndmore | zmq::send_flags::dontwait);
            router.send(zmq::buffer(hello ? welcome : ack), zmq::send_flags::dontwait);
        }
    }
}

}  // namespace

int main() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    std::array<char, 41> public_key{};
    std::array<char, 41> secret_key{};
    zmq_curve_keypair(public_key.data(), secret_key.data());
    zmq::context_t context(1);
    zmq::socket_t handler(context, zmq::socket_type::rep);
    handler.bind("inproc://zeromq.zap.01");
    zmq::socket_t router(context, zmq::socket_type::router);
    router.set(zmq::sockopt::linger, 0);
    router.set(zmq::sockopt::curve_server, true);
    router.set(zmq::sockopt::curve_secretkey, std::string(secret_key.data()));
    router.set(zmq::sockopt::zap_domain, "bench");
    router.bind("tcp://127.0.0.1:*");
    std::cout << router.get(zmq::sockopt::last_endpoint) << ' ' << public_key.data() << std::endl;
    serve(router, handler);
    return 0;
}
