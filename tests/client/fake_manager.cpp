// See fake_manager.hpp.
#include "fake_manager.hpp"

#include <cerrno>

#include <zmq.hpp>
#include <zmq_addon.hpp>

#include "client/link/keys.hpp"
#include "protocol/codec.hpp"

namespace understudy::test {

using Clock = std::chrono::steady_clock;

struct FakeManager::Sockets {
    zmq::context_t context{1};
    client::KeyPair keys = client::make_key_pair();
    std::string endpoint;
    std::unique_ptr<zmq::socket_t> zap;
    std::unique_ptr<zmq::socket_t> router;
    std::set<std::string> admitted;
    std::uint64_t sequence = 0;

    void listen(const std::string& address) {
        router = std::make_unique<zmq::socket_t>(context, zmq::socket_type::router);
        router->set(zmq::sockopt::linger, 0);
        router->set(zmq::sockopt::curve_server, true);
        router->set(zmq::sockopt::curve_secretkey, keys.secret_key);
        router->set(zmq::sockopt::zap_domain, std::string("understudy"));
        // libzmq lets go of an address a moment after its socket was closed.
        for (int attempt = 0;; ++attempt) {
            try {
                router->bind(address);
                break;
            } catch (const zmq::error_t& error) {
                if (error.num() != EADDRINUSE || attempt == 200) throw;
                static_cast<void>(zmq_poll(nullptr, 0, 5));
            }
        }
        endpoint = router->get(zmq::sockopt::last_endpoint);
    }

    void answer_zap() {
        std::vector<zmq::message_t> request;
        if (!zmq::recv_multipart(*zap, std::back_inserter(request), zmq::recv_flags::dontwait) || request.size() < 7) return;
        std::string key(41, '\0');
        zmq_z85_encode(key.data(), request[6].data<std::uint8_t>(), request[6].size());
        key.pop_back();
        const bool fine = admitted.contains(key);
        const auto part = [&](const std::string& text) { return zmq::buffer(text); };
        const std::string id = request[1].to_string();
        for (const std::string& text : {std::string("1.0"), id, std::string(fine ? "200" : "400"), std::string(), std::string()}) {
            static_cast<void>(zap->send(part(text), zmq::send_flags::sndmore));
        }
        static_cast<void>(zap->send(zmq::message_t(), zmq::send_flags::none));
    }
};

FakeManager::FakeManager() : sockets_(std::make_unique<Sockets>()) { sockets_->listen("tcp://127.0.0.1:*"); }

FakeManager::~FakeManager() = default;

void FakeManager::admit_only(std::set<std::string> public_keys) {
    sockets_->admitted = std::move(public_keys);
    if (sockets_->zap) return;
    const std::string endpoint = sockets_->endpoint;
    sockets_->router.reset();
    sockets_->zap = std::make_unique<zmq::socket_t>(sockets_->context, zmq::socket_type::rep);
    sockets_->zap->bind("inproc://zeromq.zap.01");
    sockets_->listen("tcp://127.0.0.1:*");
}

client::Configuration FakeManager::configuration() const {
    return {sockets_->endpoint, sockets_->keys.public_key, client::make_key_pair()};
}

std::string FakeManager::configuration_text() const {
    const auto made = configuration();
    return "manager = \"" + made.manager + "\"\nmanager_key = '" + made.manager_key + "'\npublic_key = '" +
           made.keys.public_key + "'\nsecret_key = '" + made.keys.secret_key + "'\n";
}

std::optional<Heard> FakeManager::step(std::chrono::milliseconds timeout) {
    std::vector<zmq::pollitem_t> items;
    if (sockets_->router) items.push_back({sockets_->router->handle(), 0, ZMQ_POLLIN, 0});
    if (sockets_->zap) items.push_back({sockets_->zap->handle(), 0, ZMQ_POLLIN, 0});
    zmq::poll(items, timeout);
    if (sockets_->zap) sockets_->answer_zap();
    if (!sockets_->router) return std::nullopt;
    std::vector<zmq::message_t> frames;
    if (!zmq::recv_multipart(*sockets_->router, std::back_inserter(frames), zmq::recv_flags::dontwait)) return std::nullopt;
    if (frames.size() != 2) return std::nullopt;
    auto envelope = decode({frames[1].data<std::uint8_t>(), frames[1].size()});
    if (!envelope) return std::nullopt;
    return Heard{frames[0].to_string(), std::move(envelope->message)};
}

std::optional<Heard> FakeManager::wait_for(const std::function<bool(const Message&)>& wanted, std::chrono::milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    while (Clock::now() < deadline) {
        auto heard = step(std::chrono::milliseconds(20));
        if (!heard) continue;
        if (wanted(heard->message)) return heard;
        if (on_message) on_message(*heard);
    }
    return std::nullopt;
}

bool FakeManager::pump_until(const std::function<bool()>& done, std::chrono::milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    while (!done()) {
        if (Clock::now() >= deadline) return false;
        const auto heard = step(std::chrono::milliseconds(5));
        if (heard && on_message) on_message(*heard);
    }
    return true;
}

void FakeManager::send(const std::string& to, const Message& message) {
    const Bytes bytes = encode({1, ++sockets_->sequence, message});
    static_cast<void>(sockets_->router->send(zmq::buffer(to), zmq::send_flags::sndmore));
    static_cast<void>(sockets_->router->send(zmq::buffer(bytes), zmq::send_flags::none));
}

void FakeManager::vanish() { sockets_->router.reset(); }

void FakeManager::resume() { sockets_->listen(sockets_->endpoint); }

}  // namespace understudy::test
