// The manager's one loop: waits for peers, workers, processes and time, tells the core, and lets the
// dispatcher carry out what follows. Everything here belongs to one thread; the clock is read here and
// nowhere else.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "manager/core/core.hpp"
#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/audit_port.hpp"
#include "manager/runtime/audited_acts.hpp"
#include "manager/runtime/configured_peers.hpp"
#include "manager/runtime/dispatcher.hpp"
#include "manager/runtime/enrolment.hpp"
#include "manager/runtime/hypervisor_port.hpp"
#include "manager/runtime/log_port.hpp"
#include "manager/runtime/mailbox.hpp"
#include "manager/runtime/outlet.hpp"
#include "manager/runtime/peers_port.hpp"
#include "manager/runtime/process_watch.hpp"
#include "manager/runtime/rehearsals.hpp"
#include "manager/runtime/view.hpp"

namespace understudy::manager {

/// Everything the loop works with; all outlive it.
struct LoopParts {
    StorePort& store;
    SealerPort& sealer;
    HypervisorPort& hypervisors;
    PeersPort& peers;
    AuditPort& audit;
    KeyKeeperPort& keys;
    Mailbox<Arrival>& mailbox;
    LogSink log;
};

struct LoopOptions {
    std::string version;
    DispatcherSettings dispatcher;
    std::uint64_t writer = 1;                 ///< random per start
    std::vector<std::string> images;          ///< guest images there are; empty: not known
    std::vector<std::string> alarms;          ///< from before the loop: a store that was set aside
    std::vector<ConfiguredPeer> peers;        ///< admitted when the loop starts
    std::map<NodeId, GivenKey> instance_keys;     ///< of instances that exist already
    std::vector<NodeKeys> kept_keys;              ///< that nodes named for themselves
    Duration one_time_life{};                     ///< how long an instance may take to name its key
};

class Loop {
  public:
    Loop(LoopParts parts, LoopOptions options, Core core, StoreHead loaded);

    /// First step, then the configuration's wishes. Call once.
    void start(const std::vector<Wish>& wishes);

    /// One turn: waits at most until something is to be done (at most `limit`), then does all of it.
    /// `others`: descriptors that end the wait as well.
    void turn(std::chrono::milliseconds limit, std::span<const int> others);

    /// Goes on without deciding anything until all is durable, or `patience` is over.
    void settle(std::chrono::milliseconds patience);

    /// The configuration was read again: only its peers are admitted from now on, and nobody waits for that.
    void use_peers(const std::vector<ConfiguredPeer>& peers);
    /// The configuration was to be read again and is wrong: nothing changes, and an alarm says so until it is right.
    void refuse_configuration(const std::string& why);

    /// A child of this process ended.
    void child_ended() { next_reap_ = TimePoint{}; }

    /// Set when the manager must not go on: another one writes to its store.
    [[nodiscard]] const std::optional<Error>& fatal() const { return dispatcher_.fatal(); }

    [[nodiscard]] const Core& core() const { return core_; }

  private:
    struct Watcher {
        TimePoint until;
    };

    [[nodiscard]] static Moment read_clock();
    void tell(const Event& event);
    void tell_what_left(Moment now);
    void take_step(Moment now, Step step);
    [[nodiscard]] std::chrono::milliseconds time_left(std::chrono::milliseconds limit) const;

    void take_ends_and_letters();
    void take_letter(Arrival& arrival);
    void take_peers();
    void take_peer_event(PeerEvent& event);
    void take_client(const ClientMessage& said);
    void take_admin(const ClientMessage& said, AdminRequest request);
    void answer_question(ClientId client, const AdminRequest& request, const AdminOrder& order);
    void record_act(const ClientMessage& said, const AdminRequest& request, const std::string& person, const Intent& intent);
    void take_recorded(const AuditWritten& written);
    void carry_out(const Intent& intent);
    void answer(ClientId client, const AdminReply& reply);
    void refuse(ClientId client, std::uint64_t request, const Error& error);
    void ask_host(const Intent& intent);
    void take_probe(const HostProbed& probed);
    void answer_view(ClientId client, std::uint64_t request);
    void answer_rehearsal(ClientId client, const AdminRequest& request, const Wish& wish);
    void note_change();
    void push_views(TimePoint now);
    [[nodiscard]] const std::vector<std::string>& fresh_view(TimePoint now);
    ConfiguredPeers::Change admit_peers(const std::vector<ConfiguredPeer>& peers);
    void show_alarm(const std::string& subject, const std::string& text);
    void admit_instance(NodeId node, const std::string& key, bool one_time);
    void give_machines_their_keys(const std::vector<ConfiguredPeer>& peers);

    LoopParts parts_;
    LoopOptions options_;
    Core core_;
    ConfiguredPeers configured_;
    Enrolment enrolment_;
    AuditedActs acts_;
    std::map<std::string, std::string> alarms_;  ///< by what they are about
    Outlet outlet_;
    Dispatcher dispatcher_;
    ProcessWatch processes_;
    TimePoint wake_at_ = kNever;
    ViewExtras extras_;
    std::vector<std::string> view_;  ///< its parts
    std::uint64_t view_number_ = 0;
    TimePoint view_made_{};
    bool changed_ = true;          ///< something an administrator would want to see at once
    std::uint64_t version_ = 0;    ///< rises with every such change
    bool breathing_ = false;       ///< nothing but heartbeats
    Rehearsals rehearsals_{read_clock};
    TimePoint next_push_{};
    TimePoint next_reap_{};
    std::map<ClientId, Watcher> watchers_;
    std::map<std::uint64_t, Intent> probing_;  ///< hosts that a person wants, while it is found out whether they answer
    std::uint64_t next_probe_ = 1;
};

}  // namespace understudy::manager
