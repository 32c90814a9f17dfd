// The world of a script for the manager core: the real core, a store, hypervisors, nodes and terminals that
// do what the script says. Durable actions are carried out once their writes are, so the order of the
// contract is what runs. After every step promises are judged from what is really there.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "manager/core/core.hpp"
#include "tests/golden/fake_node.hpp"
#include "tests/golden/stage.hpp"
#include "tests/golden/words.hpp"

namespace understudy::golden {

class ManagerStage final : public Surroundings {
  public:
    std::string run(const std::vector<Statement>& statements);

    // ---- Surroundings
    [[nodiscard]] TimePoint now() const override { return now_; }
    [[nodiscard]] std::int64_t wall_ms() const override;
    void later(Duration delay, std::function<void()> act) override { agenda_.add(now_ + delay, std::move(act)); }
    void to_manager(NodeId from, Message message) override;
    FakeNode* peer(NodeId from, NodeId id) override;

  private:
    struct Instance {
        bool running = true;
        std::uint32_t slots = 4;
        std::uint32_t vcpus = 1;
        std::uint32_t memory_mib = 512;
        std::uint64_t disk_mib = 0;
        bool still = false;                  ///< restored, and waiting for its resumption
        std::set<std::string> environments;  ///< deployed there
    };
    struct Host {
        std::map<NodeId, Instance> instances;
        std::string unreachable;  ///< why; empty: it answers
        std::string failing;      ///< creations there fail with this
        std::string resumes_fail;  ///< with this
        std::string deploys_fail;
        std::string deploys_fail_of;  ///< this environment only; empty: any
        std::string standing_fails;  ///< making them stand still
        bool hangs = false;  ///< it takes requests and answers none
        bool off = false;
    };
    struct Held {
        std::vector<manager::Write> writes;
        std::vector<manager::Action> actions;
    };
    using Work = std::function<Result<>(Host&)>;
    using Verb = void (ManagerStage::*)(const Statement&);

    // manager_stage.cpp: time, steps, the store
    void advance(TimePoint until);
    void deliver(const manager::Event& event);
    void absorb(manager::Step step, const std::string& what);
    void release_held();
    void begin_manager();
    void end_manager();
    void print(const std::string& indent, const std::string& line) { out_ << indent << line << '\n'; }
    [[nodiscard]] std::string clock() const { return seconds_of(now_ - kBegin); }
    [[noreturn]] void broken(const std::string& promise) const { throw PromiseBroken(promise, out_.str()); }

    // manager_world.cpp: what carries actions out
    void carry_out(const manager::Action& action);
    void send_to_client(const manager::SendToClient& send);
    void operate(OperationId operation, HostId host, Work work, NodeId instance, std::string receipt = {});
    Result<> go_on(Host& there, NodeId id);
    void create(const manager::CreateInstance& action);
    void switch_off(const manager::FenceHost& fence);
    void boot(NodeId id, std::uint32_t slots, Duration takes = std::chrono::seconds(1));
    void end_instance(NodeId id, const std::string& cause, bool by_itself = false);
    [[nodiscard]] Endpoint door_of(HostId host, NodeId id) const;

    // promises.cpp
    void judge_records();
    void judge_truth();
    void judge_action(const manager::Action& action);
    void judge_reload();
    void judge_clean();
    void judge_environment(NodeId to, const std::string& environment);

    // manager_verbs.cpp
    void perform(const Statement& statement);
    static const std::map<std::string, Verb>& verbs();
    static const std::map<std::string, Verb>& definitions();
    [[nodiscard]] NodeId node(const Statement& statement, std::size_t index) const;
    [[nodiscard]] SessionId session(const Statement& statement, std::size_t index) const;
    [[nodiscard]] TerminalId terminal(const Statement& statement, std::size_t index) const;
    [[nodiscard]] HostId host(const Statement& statement, std::size_t index) const;
    [[nodiscard]] FakeNode& fake(const Statement& statement, NodeId id);
    void intend(manager::Wish wish, const Statement& statement);
    void define_settings(const Statement&);
    void define_host(const Statement&);
    void define_pool(const Statement&);
    void define_profile(const Statement&);
    void define_terminal(const Statement&);
    void define_environment(const Statement&);
    void define_images(const Statement&);
    void do_scrubs(const Statement&);
    void do_start(const Statement&);
    void do_end(const Statement&) {}
    void do_manager(const Statement&);
    void do_attach(const Statement&);
    void do_detach(const Statement&);
    void do_client(const Statement&);
    void do_cut(const Statement&);
    void do_part(const Statement&);
    void do_disconnect(const Statement&);
    void do_pause(const Statement&);
    void do_kill(const Statement&);
    void do_host(const Statement&);
    void do_crash(const Statement&);
    void do_close(const Statement&);
    void do_checkpoint(const Statement&);
    void do_starts(const Statement&);
    void do_operations(const Statement&);
    void do_fences(const Statement&);
    void do_hypervisor(const Statement&);
    void do_boots(const Statement&);
    void do_stranger(const Statement&);
    void do_vanish(const Statement&);
    void do_store(const Statement&);
    void lose_store(std::map<std::string, Bytes> left, const std::string& cause);
    void do_admin(const Statement&);
    void do_enrol(const Statement&);
    void do_inject(const Statement&);
    void do_layout(const Statement&);
    void do_spoil(const Statement&);
    void do_show(const Statement&);
    void do_detail(const Statement&);
    void do_hide(const Statement&);
    void show_terminals();
    void show_nodes();
    void show_pools();
    void show_incidents();
    void show_oddities();
    void do_what_if(const Statement&);
    std::vector<NodeId> nodes_of(const Statement& statement, std::size_t index) const;

    static constexpr TimePoint kBegin{std::chrono::hours(1)};

    std::ostringstream out_;
    Names names_;
    Detail detail_ = Detail::usual;
    bool quiet_ = false;  ///< what happens is not worth reading (definitions, the way to where a script begins)
    manager::Settings settings_;
    std::vector<Statement> defined_;
    std::optional<manager::Core> core_;
    Agenda agenda_;
    TimePoint now_ = kBegin;
    TimePoint wake_at_ = kNever;
    TimePoint stalled_until_{};
    std::uint32_t idle_wakes_ = 0;  ///< wakes at the same moment, one behind the other

    std::map<std::string, Bytes> latest_;   ///< what the core has decided
    std::map<std::string, Bytes> durable_;  ///< what the store has
    std::deque<Held> held_;
    std::map<std::string, Bytes> kept_;     ///< a backup of it
    bool store_holds_ = false;

    std::map<HostId, Host> hosts_;
    std::map<NodeId, std::unique_ptr<FakeNode>> nodes_;
    std::vector<std::unique_ptr<FakeNode>> graveyard_;  ///< work under way refers to them
    std::map<NodeId, HostId> places_;
    std::set<NodeId> cut_;
    std::set<NodeId> parted_;  ///< from the manager alone: other nodes reach them
    std::set<NodeId> used_;  ///< machines that were told to do something
    std::uint64_t boots_ = 0;
    bool boot_ = true;
    std::string boot_ends_;  ///< every machine ends by itself instead of saying hello, in these words
    Duration operation_delay_{500'000};
    std::uint64_t fail_times_ = 0;
    std::string receipt_ = "base image verified";  ///< that a scrub brings
    std::string fail_text_;
    std::uint64_t fence_fail_times_ = 0;
    std::string fence_fail_text_;
    std::uint64_t fence_lie_times_ = 0;
    std::uint64_t lose_times_ = 0;  ///< done, and not answered
    std::uint64_t hang_times_ = 0;  ///< neither done nor answered
    std::uint64_t requests_ = 0;
    Duration checkpoint_interval_{0};

    /// What S2 is judged against.
    struct Judgement {
        std::map<std::pair<SessionId, Epoch>, NodeId> owners;
        std::map<std::pair<TerminalId, Epoch>, NodeId> desktop_owners;
        std::map<SessionId, Epoch> epochs;
    };
    Judgement judgement_;
    Judgement durable_judgement_;  ///< from before the store began to hold: what is left when the manager dies then
};

}  // namespace understudy::golden
