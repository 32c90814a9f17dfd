// Many machines die at once: how fast are their duties given to others, durably? The core, the dispatcher and the
// store are those that ship; beside it the same records are committed to SQLite by hand, as the manager batched
// them and one promotion at a time. Prints one JSON object.
//
//   bench-storm --nodes N --terminals N --lost N --dir DIR [--counted]
//
// --counted: for callgrind, which is to count the same in every run and on every machine. The store works on the loop's own
// thread, so that batches do not depend on how fast a disk is, and time passes only where the core waits for it. Instructions
// are dumped by name: "storm", and "by-hand" for the same records.
#include <poll.h>
#include <valgrind/callgrind.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include <CLI/CLI.hpp>
#include <SQLiteCpp/SQLiteCpp.h>
#include <nlohmann/json.hpp>

#include "manager/adapters/store/sqlite_store.hpp"
#include "manager/adapters/store/store_worker.hpp"
#include "manager/core/state.hpp"
#include "manager/runtime/dispatcher.hpp"
#include "protocol/ticket.hpp"
#include "tests/bench/programs/filled_store.hpp"
#include "tests/bench/programs/site.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 120s;

double ms_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double, std::milli>(to - from).count(); }

/// The store that ships, and a memory of every batch it took.
class Recorder : public manager::RecordStore {
  public:
    Recorder(std::unique_ptr<manager::RecordStore> store, std::vector<manager::Batch>& taken) : store_(std::move(store)), taken_(taken) {}
    Result<manager::StoreContent> load() override { return store_->load(); }
    Result<manager::StoreHead> head() override { return store_->head(); }
    manager::CommitAnswer commit(const manager::Batch& batch) override {
        taken_.push_back(batch);
        return store_->commit(batch);
    }
    void tidy() override { store_->tidy(); }

  private:
    std::unique_ptr<manager::RecordStore> store_;
    std::vector<manager::Batch>& taken_;
};

/// A store on the thread of whoever uses it: its answer is there when the loop looks next.
class StoreInTurn : public manager::StorePort {
  public:
    StoreInTurn(std::unique_ptr<manager::RecordStore> store, manager::Mailbox<manager::Arrival>& answers) : store_(std::move(store)), answers_(answers) {}
    Result<manager::StoreContent> load_all() override { return store_->load(); }
    void commit(const manager::Batch& batch) override { answers_.push(store_->commit(batch)); }
    void read_head() override { throw std::runtime_error("every commit of a storm has an outcome"); }

  private:
    std::unique_ptr<manager::RecordStore> store_;
    manager::Mailbox<manager::Arrival>& answers_;
};

/// Instructions from here on are counted, and dumped by that name; without callgrind it does nothing.
class Counting {
  public:
    Counting() { CALLGRIND_ZERO_STATS; CALLGRIND_TOGGLE_COLLECT; }
    void dump_as(const char* name) {
        CALLGRIND_TOGGLE_COLLECT;
        CALLGRIND_DUMP_STATS_AT(name);
    }
};

class Sealer : public manager::SealerPort {
  public:
    std::string seal(TicketClaims& claims) override {
        claims.expires_wall_ms = wall_ms() + to_ms(manager::kTicketLife);
        return seal_ticket(claims, keys_.secret).value();
    }
    const std::string& public_key() const override { return keys_.public_key; }
    std::int64_t wall_ms() const override {
        return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    }

  private:
    TicketKeys keys_ = make_ticket_keys();
};

/// What somebody is the primary of.
struct Post {
    enum class Kind : std::uint8_t { session, desktop } kind = Kind::session;
    std::uint64_t subject = 0;
    auto operator<=>(const Post&) const = default;
};

/// Sees who is appointed when that leaves the manager; everything else goes nowhere.
class Watcher : public manager::OutletPort {
  public:
    explicit Watcher(std::set<Post> vacant) : vacant_(std::move(vacant)) {}

    void send_to_node(NodeId to, const Message& message) override {
        if (const auto* session = std::get_if<AssignSession>(&message); session != nullptr && session->duty == Duty::primary) {
            appointed({Post::Kind::session, session->session.value}, session->epoch, to);
        } else if (const auto* desktop = std::get_if<AssignDesktop>(&message); desktop != nullptr && desktop->duty == Duty::primary) {
            appointed({Post::Kind::desktop, desktop->terminal.value}, desktop->epoch, to);
        }
    }
    void send_to_client(ClientId, const Message& message) override { redirects_ += std::holds_alternative<TerminalRedirect>(message) ? 1 : 0; }
    void create(const manager::CreateInstance&) override {}
    void resume(const manager::ResumeInstance&) override {}
    void scrub(const manager::ScrubInstance&) override {}
    void deploy(const manager::DeployEnvironment&) override {}
    void destroy(const manager::DestroyInstance&) override {}
    void list(const manager::ListInstances&) override {}
    void fence(const manager::FenceHost&) override {}
    void note(const manager::Note&) override {}

    [[nodiscard]] bool all_filled() const { return vacant_.empty(); }
    [[nodiscard]] std::size_t vacant() const { return vacant_.size(); }
    [[nodiscard]] const std::vector<Clock::time_point>& moments() const { return moments_; }
    [[nodiscard]] std::size_t redirects() const { return redirects_; }
    [[nodiscard]] std::size_t twice() const { return twice_; }

  private:
    void appointed(Post post, Epoch epoch, NodeId to) {
        const auto [known, fresh] = holders_.try_emplace({post, epoch}, to);
        if (!fresh && known->second != to) ++twice_;
        if (vacant_.erase(post) != 0) moments_.push_back(Clock::now());
    }

    std::set<Post> vacant_;
    std::map<std::pair<Post, Epoch>, NodeId> holders_;
    std::vector<Clock::time_point> moments_;
    std::size_t redirects_ = 0;
    std::size_t twice_ = 0;  ///< one epoch was given to two nodes
};

/// Those who serve the most people, as many as are to die; and what is vacant then.
struct Loss {
    std::vector<NodeId> nodes;
    std::set<Post> vacant;
};

Loss choose(const manager::State& state, std::size_t lost) {
    Loss loss;
    std::set<NodeId> chosen;
    for (const auto& [id, node] : state.nodes.rows()) {
        if (chosen.size() == lost) break;
        if (node.state == manager::NodeState::serving) chosen.insert(id);
    }
    for (const auto& [id, session] : state.sessions.rows()) {
        if (chosen.contains(session.primary)) loss.vacant.insert({Post::Kind::session, id.value});
    }
    for (const auto& [id, terminal] : state.terminals.rows()) {
        if (chosen.contains(terminal.presentation)) loss.vacant.insert({Post::Kind::desktop, id.value});
    }
    loss.nodes.assign(chosen.begin(), chosen.end());
    return loss;
}

/// As on a site, or for counting: see above.
enum class Course : std::uint8_t { timed, counted };

/// The manager's loop, without a network: ends of processes in, appointments out.
class Storm {
  public:
    Storm(Site& site, const Loss& loss, std::unique_ptr<manager::RecordStore> store, manager::StoreHead head, Course course)
        : site_(site), watcher_(loss.vacant), began_(site.moment()), course_(course),
          store_(port(std::make_unique<Recorder>(std::move(store), batches_))), dispatcher_({}, head, 1, *store_, sealer_, watcher_) {}

    void run(const std::vector<NodeId>& lost) {
        start_ = Clock::now();
        for (const NodeId id : lost) tell(manager::InstanceEnded{id, "killed by signal 9", moment().at, false});
        while (!watcher_.all_filled() || !dispatcher_.quiet()) {
            if (Clock::now() - start_ > kPatience) throw std::runtime_error(std::to_string(watcher_.vacant()) + " posts were never filled");
            if (wake_at_ <= moment().at) tell(manager::Woken{});
            pollfd bell{mailbox_.descriptor(), POLLIN, 0};
            const bool rung = ::poll(&bell, 1, course_ == Course::counted || wake_at_ <= moment().at ? 0 : 1) > 0;
            if (!rung && course_ == Course::counted) virtual_ = std::max(virtual_, std::min(wake_at_, dispatcher_.wake_at()) - began_.at);
            for (manager::Arrival& arrival : mailbox_.take_all()) {
                if (const auto* answer = std::get_if<manager::CommitAnswer>(&arrival)) dispatcher_.commit_answered(moment().at, *answer);
            }
            while (auto event = dispatcher_.take_event()) tell(*event);
            dispatcher_.woken(moment().at);
        }
    }

    [[nodiscard]] const Watcher& watcher() const { return watcher_; }
    [[nodiscard]] Clock::time_point start() const { return start_; }
    [[nodiscard]] const std::vector<manager::Batch>& batches() const { return batches_; }

  private:
    std::unique_ptr<manager::StorePort> port(std::unique_ptr<manager::RecordStore> store) {
        if (course_ == Course::counted) return std::make_unique<StoreInTurn>(std::move(store), mailbox_);
        return std::make_unique<manager::StoreWorker>(std::move(store), [this](manager::Arrival arrival) { mailbox_.push(std::move(arrival)); });
    }

    [[nodiscard]] manager::Moment moment() const {
        const auto passed = course_ == Course::counted ? virtual_ : std::chrono::duration_cast<Duration>(Clock::now() - start_);
        return {began_.at + passed, began_.wall_ms + to_ms(passed)};
    }

    void tell(const manager::Event& event) {
        manager::Step step = site_.core().handle(moment(), event);
        wake_at_ = step.wake_at;
        dispatcher_.accept(moment().at, std::move(step));
    }

    Site& site_;
    Watcher watcher_;
    manager::Moment began_;
    Course course_;
    Duration virtual_{0};  ///< what has passed when it is counted
    Clock::time_point start_ = Clock::now();
    TimePoint wake_at_ = kNever;
    std::vector<manager::Batch> batches_;  ///< written by the store's thread; read when it is at rest
    Sealer sealer_;
    manager::Mailbox<manager::Arrival> mailbox_;
    std::unique_ptr<manager::StorePort> store_;
    manager::Dispatcher dispatcher_;
};

/// The limit: the same records into a table of the same rows, in transactions of so many writes; 0: as batched.
double raw_ms(const std::string& path, const manager::Image& image, const std::vector<manager::Batch>& batches, std::size_t writes_each) {
    SQLite::Database database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    database.exec("PRAGMA journal_mode=WAL");
    database.exec("PRAGMA synchronous=FULL");
    database.exec("CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID");
    SQLite::Statement put(database, "INSERT OR REPLACE INTO record VALUES (?, ?)");
    const auto write = [&put](const std::string& key, const Bytes& value) {
        put.bindNoCopy(1, key);
        put.bindNoCopy(2, value.data(), static_cast<int>(value.size()));
        put.exec();
        put.reset();
    };
    {
        SQLite::Transaction all(database);
        for (const auto& [key, value] : image) write(key, value);
        all.commit();
    }
    const auto began = Clock::now();
    Counting counting;
    for (const manager::Batch& batch : batches) {
        for (std::size_t at = 0; at < batch.writes.size();) {
            const std::size_t end = writes_each == 0 ? batch.writes.size() : std::min(batch.writes.size(), at + writes_each);
            SQLite::Transaction transaction(database);
            for (; at < end; ++at) write(batch.writes[at].key, batch.writes[at].value);
            transaction.commit();
        }
    }
    counting.dump_as(writes_each == 0 ? "by-hand" : "by-hand-single");
    return ms_between(began, Clock::now());
}

nlohmann::json measure(SiteSize size, std::size_t lost, Course course, const std::string& dir) {
    Site site(size);
    if (const std::string lacks = site.build(); !lacks.empty()) throw std::runtime_error("the site does not come up: " + lacks);
    site.run(10s);
    const manager::Image image = site.core().durable_image();
    auto store = manager::SqliteStore::open(dir + "/storm.db");
    if (!store) throw std::runtime_error(store.error().message);
    const manager::StoreHead head = fill(**store, image);

    const Loss loss = choose(site.core().state(), lost);
    Storm storm(site, loss, std::move(*store), head, course);
    Counting counting;
    storm.run(loss.nodes);
    counting.dump_as("storm");
    const auto& moments = storm.watcher().moments();
    const double all = ms_between(storm.start(), moments.back());
    std::size_t writes = 0;
    for (const manager::Batch& batch : storm.batches()) writes += batch.writes.size();
    const std::size_t each = std::max<std::size_t>(1, writes / moments.size());
    return {{"nodes", size.nodes},
            {"terminals", size.terminals},
            {"lost", loss.nodes.size()},
            {"promotions", moments.size()},
            {"twice", storm.watcher().twice()},
            {"redirects", storm.watcher().redirects()},
            {"first_ms", ms_between(storm.start(), moments.front())},
            {"all_ms", all},
            {"promotions_per_s", static_cast<double>(moments.size()) / all * 1000},
            {"batches", storm.batches().size()},
            {"writes", writes},
            {"raw_batched_ms", raw_ms(dir + "/raw-batched.db", image, storm.batches(), 0)},
            {"raw_single_ms", raw_ms(dir + "/raw-single.db", image, storm.batches(), each)}};
}

}  // namespace

int main(int count, char** words) {
    CLI::App program{"How fast the duties of many dead machines are given to others"};
    SiteSize size{9000, 4000};
    std::size_t lost = 1000;
    std::string dir;
    bool counted = false;
    program.add_option("--nodes", size.nodes, "virtual machines");
    program.add_option("--terminals", size.terminals, "people at work");
    program.add_option("--lost", lost, "machines that die at once");
    program.add_option("--dir", dir, "an empty folder on the disk that is to be measured")->required();
    program.add_flag("--counted", counted, "the same in every run, for callgrind");
    CLI11_PARSE(program, count, words);
    try {
        std::cout << measure(size, lost, counted ? Course::counted : Course::timed, dir).dump() << '\n';
    } catch (const std::exception& problem) {
        std::cerr << problem.what() << '\n';
        return 1;
    }
    return 0;
}
