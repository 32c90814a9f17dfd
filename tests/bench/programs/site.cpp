// See site.hpp.
#include "tests/bench/programs/site.hpp"

#include <malloc.h>
#include <valgrind/callgrind.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "manager/core/state.hpp"

namespace understudy::bench {
namespace {

using namespace std::chrono_literals;
using namespace manager;

constexpr std::size_t kPerHost = 100;
constexpr Duration kWire = 200us;
constexpr Duration kOperation = 5ms;
constexpr Duration kBoot = 100ms;
constexpr Duration kPatience = 600s;

const char* kind_of(const Message& message) { return name_of(message); }

}  // namespace

std::string terminal_name(std::size_t number) { return "desk-" + std::to_string(number); }

std::vector<Wish> wishes_of(SiteSize size) {
    std::vector<Wish> wishes;
    const std::size_t hosts = (size.nodes + kPerHost - 1) / kPerHost + 1;  // one more: room to replace what is lost
    for (std::size_t i = 0; i < hosts; ++i) {
        HostRecord host;
        host.name = "host-" + std::to_string(i);
        host.uri = "bench:///" + std::to_string(i);
        host.domain = "domain-" + std::to_string(i / 10);
        host.vcpus = kPerHost + 20;
        host.memory_mib = (kPerHost + 20) * 512;
        wishes.emplace_back(DefineHost{host});
    }
    PoolRecord pool;
    pool.flavour = "small";
    pool.image = "base";
    pool.min_idle = pool.max_idle = static_cast<std::uint32_t>(size.nodes);
    pool.max_total = static_cast<std::uint32_t>(size.nodes);
    wishes.emplace_back(DefinePool{pool});
    ProfileRecord profile;
    profile.name = "office";
    profile.flavour = "small";
    profile.applications.push_back({Application{"xterm", "Terminal", {"xterm"}, {}}, Protection::checkpoint});
    wishes.emplace_back(DefineProfile{profile});
    for (std::size_t i = 0; i < size.terminals; ++i) wishes.emplace_back(DefineTerminal{terminal_name(i), "office"});
    return wishes;
}

double quantile(Costs costs, double share) {
    if (costs.empty()) return 0;
    const auto place = static_cast<std::size_t>(share * static_cast<double>(costs.size() - 1) + 0.5);
    std::nth_element(costs.begin(), costs.begin() + static_cast<std::ptrdiff_t>(place), costs.end());
    return costs[place];
}

std::size_t allocated_bytes() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

Site::Site(SiteSize size) : size_(size) {
    settings_.heartbeat = 5s;  // as a site of this size would have it; the same for all sizes
    settings_.silence = 15s;
    settings_.lease = 60s;
    settings_.parallel_creations = kPerHost;
    settings_.inventory_interval = 3600s;
    auto core = Core::load(settings_, {});
    assert(core && "an empty store loads");
    core_ = std::make_unique<Core>(std::move(*core));
}

Site::~Site() = default;

std::int64_t Site::wall_ms() const { return 1'700'000'000'000 + to_ms(now_.time_since_epoch()); }

void Site::later(Duration delay, std::function<void()> act) { agenda_.push({now_ + delay, ++order_, std::move(act)}); }

void Site::to_manager(NodeId from, Message message) {
    later(kWire, [this, from, said = std::move(message)] { tell(kind_of(said), NodeSaid{from, said}); });
}

golden::FakeNode* Site::peer(NodeId, NodeId id) {
    const auto found = nodes_.find(id);
    return found == nodes_.end() || found->second->dead() ? nullptr : found->second.get();
}

void Site::tell(const char* kind, const Event& event) {
    // Under callgrind a failure's instructions can be counted alone; without it these two lines do nothing.
    const bool failure = std::holds_alternative<InstanceEnded>(event);
    const auto began = std::chrono::steady_clock::now();
    if (failure) CALLGRIND_TOGGLE_COLLECT;
    Step step = core_->handle(moment(), event);
    if (failure) CALLGRIND_TOGGLE_COLLECT;
    const auto took = std::chrono::steady_clock::now() - began;
    costs_[kind].push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(took.count(), UINT32_MAX)));
    take(std::move(step));
}

void Site::take(Step step) {
    wake_at_ = step.wake_at;
    for (const Action& action : step.now) carry_out(action);
    for (const Action& action : step.after_durable) carry_out(action);
}

void Site::run(Duration span) {
    const TimePoint until = now_ + span;
    for (;;) {
        const TimePoint due = agenda_.empty() ? kNever : agenda_.top().at;
        const TimePoint next = std::min(due, std::max(wake_at_, now_));
        if (next > until) break;
        now_ = std::max(now_, next);
        if (due <= next) {
            const auto act = agenda_.top().act;
            agenda_.pop();
            act();
        } else {
            tell("Woken", Woken{});
        }
    }
    now_ = until;
}

void Site::define() {
    take(core_->start(moment()));
    tell("ImagesKnown", ImagesKnown{{"base"}});
    for (Wish& wish : wishes_of(size_)) tell("Intent", Intent{ClientId(), 0, "bench", std::move(wish)});
}

std::string Site::build() {
    define();
    const TimePoint limit = now_ + kPatience;
    while (living() < size_.nodes && now_ < limit) run(1s);
    if (living() < size_.nodes) return std::to_string(size_.nodes - living()) + " machines were never made";
    for (std::size_t i = 0; i < size_.terminals; ++i) {
        later(Duration(i * 1000), [this, i] {
            TerminalAttach attach;
            attach.terminal = terminal_name(i);
            tell("TerminalAttach", ClientSaid{ClientId(i + 1), attach});
        });
    }
    std::string lacks;
    do {
        run(1s);
        lacks = missing();
    } while (!lacks.empty() && now_ < limit);
    return lacks;
}

std::string Site::missing() const {
    const State& state = core_->state();
    std::size_t unserved = 0;
    std::size_t unprotected = 0;
    for (const auto& [id, terminal] : state.terminals.rows()) {
        if (!terminal.presentation) ++unserved;
        else if (terminal.backups.empty()) ++unprotected;
    }
    for (const auto& [id, session] : state.sessions.rows()) {
        if (!session.primary) ++unserved;
        else if (session.backups.empty()) ++unprotected;
    }
    if (unserved + unprotected == 0 && state.sessions.rows().size() == size_.terminals) return {};
    return std::to_string(unserved) + " not served, " + std::to_string(unprotected) + " without a backup";
}

std::size_t Site::living() const {
    return static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), [this](const auto& node) {
        const auto live = core_->state().live.find(node.first);
        return !node.second->dead() && live != core_->state().live.end() && live->second.registration != 0;
    }));
}

void Site::kill(NodeId id) {
    nodes_.at(id)->die();
    for (auto& [host, instances] : instances_) instances.erase(id);
    tell("InstanceEnded", InstanceEnded{id, "killed by signal 9", now_, false});
}

NodeId Site::busiest() const {
    NodeId found;
    std::size_t most = 0;
    std::map<NodeId, std::size_t> serves;
    for (const auto& [id, terminal] : core_->state().terminals.rows()) ++serves[terminal.presentation];
    for (const auto& [id, session] : core_->state().sessions.rows()) ++serves[session.primary];
    for (const auto& [id, count] : serves) {
        if (id && count > most) {
            most = count;
            found = id;
        }
    }
    return found;
}

// ---- the world

void Site::boot(NodeId id, std::uint32_t slots) {
    if (const auto old = nodes_.find(id); old != nodes_.end()) {
        old->second->die();
        graveyard_.push_back(std::move(old->second));
        nodes_.erase(old);
    }
    auto node = std::make_unique<golden::FakeNode>(*this, id, ++boots_, slots);
    golden::FakeNode* fresh = node.get();
    nodes_[id] = std::move(node);
    // Spread over an interval, or they would breathe in step for ever.
    later(kBoot + settings_.heartbeat * (id.value % 997) / 997, [fresh] {
        if (!fresh->dead()) fresh->start();
    });
}

void Site::carry_out(const Action& action) {
    const auto door = [](NodeId id) { return Endpoint{"10.0.0.1", static_cast<std::uint16_t>(1024 + id.value % 60000)}; };
    const auto done = [this, door](OperationId operation, NodeId id, std::string receipt = {}) {
        later(kOperation, [this, operation, result = Done{door(id), std::move(receipt)}] { tell("OperationDone", OperationDone{operation, result}); });
    };
    if (const auto* send = std::get_if<SendToNode>(&action)) {
        later(kWire, [this, to = send->to, message = send->message] {
            if (golden::FakeNode* node = peer(to, to)) node->hear(message);
        });
    } else if (const auto* client = std::get_if<SendToClient>(&action)) {
        seen(*client);
    } else if (const auto* echo = std::get_if<Echo>(&action)) {
        later(kWire, [this, incident = echo->incident] { tell("Echoed", Echoed{incident}); });
    } else if (const auto* list = std::get_if<ListInstances>(&action)) {
        later(kOperation, [this, host = list->host, door] {
            std::vector<ListedInstance> listed;
            for (const auto& [id, slots] : instances_[host]) listed.push_back({id, true, door(id), "base", 1, 512, slots, 0});
            tell("HostListed", HostListed{host, std::move(listed)});
        });
    } else if (const auto* create = std::get_if<CreateInstance>(&action)) {
        instances_[create->host][create->instance] = create->slots;
        boot(create->instance, create->slots);
        done(create->operation, create->instance);
    } else if (const auto* scrub = std::get_if<ScrubInstance>(&action)) {
        boot(scrub->instance, instances_[scrub->host][scrub->instance]);
        done(scrub->operation, scrub->instance, "sha256:0");
    } else if (const auto* destroy = std::get_if<DestroyInstance>(&action)) {
        instances_[destroy->host].erase(destroy->instance);
        if (golden::FakeNode* node = peer(destroy->instance, destroy->instance)) node->die();
        done(destroy->operation, destroy->instance);
    }
}

/// The person's eyes: everything that is promised is there at once.
void Site::seen(const SendToClient& send) {
    const auto* redirect = std::get_if<TerminalRedirect>(&send.message);
    if (redirect == nullptr) return;
    for (const char* what : {"connected", "picture"}) {
        later(kWire, [this, to = send.to, told = *redirect, what] {
            tell("TerminalSeen", ClientSaid{to, TerminalSeen{told.terminal, told.epoch, what, told.incident}});
        });
    }
}

}  // namespace understudy::bench
