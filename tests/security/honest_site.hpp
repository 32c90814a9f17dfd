// The honest part of a site under attack: the real manager, machines whose agents are the real agent core over real
// sockets (tests/golden/fake_node.hpp does their work), and a person at a terminal. It says how well they are served
// while somebody else does his worst. One thread: time passes only inside run_for() and run_until().
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>
#include <zmq.hpp>

#include "tests/golden/fake_node.hpp"

namespace understudy::security {

struct Keys {
    std::string public_half;
    std::string secret_half;
};

[[nodiscard]] Keys make_keys();

class HonestSite : public golden::Surroundings {
  public:
    /// Starts everything and waits until the terminal is served and its backups stand by. Fails the test otherwise.
    HonestSite();
    ~HonestSite() override;
    HonestSite(const HonestSite&) = delete;
    HonestSite& operator=(const HonestSite&) = delete;

    void run_for(std::chrono::milliseconds time);
    /// False after the patience of a slow machine.
    [[nodiscard]] bool run_until(const std::function<bool()>& condition);

    /// The machine that shows the desktop dies, as a power cut would have it. Returns how long it took until another one
    /// shows it and the terminal was told. Then the dead machine comes back, and everything is as before.
    [[nodiscard]] std::chrono::microseconds fail_desktop();

    /// The longest time between two acknowledged heartbeats of one node since this was asked last.
    [[nodiscard]] std::chrono::microseconds take_longest_gap();
    /// Whether every node had its lease all the time.
    [[nodiscard]] bool leases_held() const { return leases_held_; }

    // ---- for attackers

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
    [[nodiscard]] const std::string& manager_key() const { return manager_key_; }
    [[nodiscard]] const Keys& observer() const { return observer_; }  ///< admitted
    [[nodiscard]] const Keys& kiosk() const { return kiosk_; }        ///< admitted, a terminal that nobody uses
    [[nodiscard]] const Keys& revoked() const { return revoked_; }    ///< was admitted, and is not any more

    // ---- the manager

    [[nodiscard]] bool manager_runs() const;
    [[nodiscard]] std::uint64_t manager_memory_kib() const;
    [[nodiscard]] std::size_t manager_descriptors() const;
    /// What was refused, as the status shows it.
    [[nodiscard]] std::map<std::string, std::uint64_t> refusals();
    [[nodiscard]] std::string log() const;

    /// An act of the administrator, over a connection of its own to `endpoint`.
    class Asked {
      public:
        Asked(zmq::socket_t socket, std::uint64_t request) : socket_(std::move(socket)), request_(request) {}
        [[nodiscard]] bool answered();

      private:
        zmq::socket_t socket_;
        std::uint64_t request_;
    };
    [[nodiscard]] Asked ask_through(const std::string& endpoint, const std::string& verb, std::vector<std::string> arguments);
    /// Acts in the manager's audit log.
    [[nodiscard]] std::size_t acts_recorded() const;

  private:
    struct Machine;
    struct Later {
        TimePoint at;
        std::uint64_t order = 0;
        std::function<void()> act;
    };

    [[nodiscard]] TimePoint now() const override;
    [[nodiscard]] std::int64_t wall_ms() const override;
    void later(Duration delay, std::function<void()> act) override;
    void to_manager(NodeId from, Message message) override;
    golden::FakeNode* peer(NodeId from, NodeId id) override;

    void write_configuration(bool with_revoked);
    void start_manager();
    void connect_machine(const std::string& name);
    void turn(std::chrono::milliseconds limit);
    void hear_terminal();
    void hear_machine(Machine& machine);
    [[nodiscard]] Machine* showing();
    [[nodiscard]] std::string ask_view();
    [[nodiscard]] bool stands_by();
    [[nodiscard]] zmq::socket_t connect(const Keys& keys, const std::string& endpoint);

    std::string folder_;
    std::string endpoint_;
    std::string manager_key_;
    std::uint16_t port_ = 0;
    pid_t manager_ = -1;
    Keys observer_ = make_keys();
    Keys kiosk_ = make_keys();
    Keys revoked_ = make_keys();
    Keys desk_ = make_keys();
    Keys admin_ = make_keys();

    zmq::context_t context_{1};
    std::map<std::string, std::unique_ptr<Machine>> machines_;
    std::vector<std::unique_ptr<golden::FakeNode>> buried_;
    std::unique_ptr<zmq::socket_t> terminal_;
    std::unique_ptr<zmq::socket_t> asking_;
    std::vector<Later> later_;
    std::uint64_t order_ = 0;
    std::uint64_t sequence_ = 0;
    std::uint64_t request_ = 0;
    std::string view_;

    TerminalId desk_id_;
    Epoch told_ = 0;          ///< newest epoch the terminal was redirected to
    TimePoint told_at_{};
    Duration longest_gap_{0};
    bool leases_held_ = true;
};

}  // namespace understudy::security
