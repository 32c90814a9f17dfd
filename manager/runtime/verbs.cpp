// See verbs.hpp.
#include "manager/runtime/verbs.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "manager/runtime/host_uri.hpp"
#include "protocol/limits.hpp"

namespace understudy::manager {
namespace {

/// "key=value" pairs, taken one by one; what nobody took is a complaint.
class Arguments {
  public:
    explicit Arguments(const AdminRequest& request) : verb_(request.verb) {
        for (const std::string& argument : request.arguments) {
            const auto equals = argument.find('=');
            if (equals == std::string::npos || equals == 0) {
                complain("argument \"" + argument + "\" is not of the form key=value");
            } else if (!values_.emplace(argument.substr(0, equals), argument.substr(equals + 1)).second) {
                complain("argument " + argument.substr(0, equals) + " is given twice");
            }
        }
    }

    bool has(const std::string& key) {
        known_.insert(key);
        return values_.contains(key);
    }

    std::string text(const std::string& key) {
        if (!has(key) || values_[key].empty()) complain(key + "=... is missing");
        return values_[key];
    }

    std::string optional_text(const std::string& key) { return has(key) ? values_[key] : std::string(); }

    std::uint64_t number(const std::string& key, std::uint64_t lowest, std::uint64_t highest) {
        const std::string value = text(key);
        std::uint64_t number = 0;
        const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (problem != std::errc() || end != value.data() + value.size() || number < lowest || number > highest) {
            complain(key + " must be a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
        }
        return number;
    }

    /// One of two words; true: the second.
    bool choice(const std::string& key, const std::string& first, const std::string& second) {
        const std::string value = text(key);
        if (value != first && value != second) complain(key + " must be " + first + " or " + second);
        return value == second;
    }

    template <class IdType>
    IdType id(const std::string& key) {
        return IdType(number(key, 1, UINT64_MAX));
    }

    void complain(const std::string& what) {
        if (complaint_.empty()) complaint_ = what;
    }

    /// The first complaint, or about an argument that means nothing here.
    [[nodiscard]] std::string verdict() {
        for (const auto& [key, value] : values_) {
            if (!known_.contains(key)) complain("argument " + key + " means nothing here; allowed are: " + joined());
        }
        return complaint_.empty() ? std::string() : verb_ + ": " + complaint_;
    }

  private:
    std::string joined() const {
        std::string text;
        for (const std::string& key : known_) text += (text.empty() ? "" : ", ") + key;
        return text;
    }

    std::string verb_;
    std::map<std::string, std::string> values_;
    std::set<std::string> known_;
    std::string complaint_;
};

using Reader = std::function<Wish(Arguments&, const State&)>;

Wish read_failover(Arguments& arguments, const State&) {
    const bool session = arguments.has("session");
    const bool terminal = arguments.has("terminal");
    if (session == terminal) arguments.complain("give either session=ID or terminal=NAME");
    if (session) return FailOverSession{arguments.id<SessionId>("session")};
    return FailOverPresentation{arguments.optional_text("terminal")};
}

/// Draining a host is its maintenance: nothing new is placed there, and what runs there moves.
Wish read_drain(Arguments& arguments, bool drain) {
    const bool node = arguments.has("node");
    const bool host = arguments.has("host");
    if (node == host) arguments.complain("give either node=ID or host=NAME");
    if (node) return SetDrain{arguments.id<NodeId>("node"), drain};
    return SetMaintenance{arguments.optional_text("host"), drain};
}

Wish read_maintenance(Arguments& arguments, const State&) {
    const std::string value = arguments.text("value");
    if (value != "on" && value != "off") arguments.complain("value must be on or off");
    return SetMaintenance{arguments.text("host"), value == "on"};
}

/// "a,b": none when it is absent or empty.
std::vector<std::string> read_list(Arguments& arguments, const std::string& key) {
    std::vector<std::string> words;
    std::istringstream text(arguments.optional_text(key));
    for (std::string word; std::getline(text, word, ',');) words.push_back(word);
    return words;
}

/// How large a pool is, and how it is kept: what may change while it is in use.
void read_limits(Arguments& arguments, PoolRecord& pool) {
    for (const auto& [key, limit] : {std::pair{"min_idle", &pool.min_idle}, std::pair{"max_idle", &pool.max_idle},
                                     std::pair{"max_total", &pool.max_total}, std::pair{"min_paused", &pool.min_paused},
                                     std::pair{"max_paused", &pool.max_paused}}) {
        if (arguments.has(key)) *limit = static_cast<std::uint32_t>(arguments.number(key, 0, 100000));
    }
    if (arguments.has("follow_demand")) pool.follow_demand = arguments.choice("follow_demand", "off", "on");
    if (arguments.has("policy")) pool.policy = arguments.choice("policy", "spread", "pack") ? Policy::pack : Policy::spread;
}

Wish read_pool(Arguments& arguments, const State& state) {
    const std::string flavour = arguments.text("flavour");
    const PoolRecord* known = state.pools.find(flavour);
    PoolRecord pool = known == nullptr ? PoolRecord{} : *known;
    if (known == nullptr) arguments.complain("there is no pool of flavour \"" + flavour + "\"; define-pool makes one");
    read_limits(arguments, pool);
    return DefinePool{pool};
}

Wish read_define_pool(Arguments& arguments, const State& state) {
    PoolRecord pool;
    pool.flavour = arguments.text("flavour");
    if (state.pools.find(pool.flavour) != nullptr) {
        arguments.complain("there is a pool of flavour \"" + pool.flavour + "\" already; pool changes its limits");
    }
    pool.image = arguments.has("image") ? arguments.text("image") : "base";
    for (const auto& [key, value, highest] : {std::tuple{"vcpus", &pool.vcpus, 256u}, std::tuple{"memory_mib", &pool.memory_mib, 1u << 24},
                                              std::tuple{"slots", &pool.slots, 64u}}) {
        if (arguments.has(key)) *value = static_cast<std::uint32_t>(arguments.number(key, 1, highest));
    }
    if (arguments.has("disk_mib")) pool.disk_mib = arguments.number("disk_mib", 0, 1u << 24);
    pool.environment = arguments.optional_text("environment");
    pool.labels = read_list(arguments, "labels");
    read_limits(arguments, pool);
    return DefinePool{pool};
}

Wish read_define_host(Arguments& arguments, const State&) {
    HostRecord host;
    host.name = arguments.text("name");
    host.uri = arguments.text("uri");
    host.domain = arguments.optional_text("domain");
    host.vcpus = static_cast<std::uint32_t>(arguments.number("vcpus", 1, 65536));
    host.memory_mib = static_cast<std::uint32_t>(arguments.number("memory_mib", 64, 1u << 30));
    if (arguments.has("disk_mib")) host.disk_mib = arguments.number("disk_mib", 0, 1ull << 40);
    host.address = arguments.optional_text("address");
    // Before anybody is asked: asking opens it.
    if (const std::string why = refusal_of_uri(host.uri); !why.empty()) arguments.complain("uri=" + host.uri + " " + why);
    if (!host.address.empty() && !is_machine_address(host.address)) arguments.complain("address must be the name or number of a machine");
    host.labels = read_list(arguments, "labels");
    return DefineHost{host};
}

struct Act {
    PeerRole least;         ///< who may, besides those above
    Unrecorded unrecorded;  ///< when the audit log cannot be written
    Reader read;
};

constexpr auto kOperator = PeerRole::operator_;
constexpr auto kAdministrator = PeerRole::administrator;
constexpr auto kRecordFirst = Unrecorded::refused;
constexpr auto kServiceFirst = Unrecorded::carried_out;  ///< what brings people their work back

/// What keeps things going is for operators; what the site consists of, switching hosts off, and overruling the
/// manager's doubts about itself is for administrators.
const std::map<std::string, Act>& acts() {
    static const std::map<std::string, Act> kActs{
        {"failover", {kOperator, kServiceFirst, read_failover}},
        {"kill", {kOperator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return KillInstance{a.id<NodeId>("node")}; }}},
        {"drain", {kOperator, kRecordFirst, [](Arguments& a, const State&) { return read_drain(a, true); }}},
        {"undrain", {kOperator, kServiceFirst, [](Arguments& a, const State&) { return read_drain(a, false); }}},
        {"release", {kOperator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return ReleaseTerminal{a.text("terminal")}; }}},
        {"pool", {kOperator, kRecordFirst, read_pool}},
        {"define-pool", {kAdministrator, kRecordFirst, read_define_pool}},
        {"remove-pool", {kAdministrator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return RemovePool{a.text("flavour")}; }}},
        {"define-host", {kAdministrator, kRecordFirst, read_define_host}},
        {"remove-host", {kAdministrator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return RemoveHost{a.text("name")}; }}},
        {"fence", {kAdministrator, kServiceFirst, [](Arguments& a, const State&) -> Wish { return FenceByHand{a.text("host")}; }}},
        {"override-gate", {kAdministrator, kServiceFirst, [](Arguments&, const State&) -> Wish { return OverrideGate{}; }}},
        {"define-terminal",
         {kAdministrator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return DefineTerminal{a.text("name"), a.text("profile")}; }}},
        {"remove-terminal", {kAdministrator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return RemoveTerminal{a.text("name")}; }}},
        {"maintenance", {kOperator, kRecordFirst, read_maintenance}},
        {"message",
         {kOperator, kRecordFirst, [](Arguments& a, const State&) -> Wish { return NotifyTerminal{a.text("terminal"), a.text("text")}; }}},
    };
    return kActs;
}

std::string all_verbs() {
    std::string text = "view, watch, incident, what-if, audit";
    for (const auto& [verb, act] : acts()) text += ", " + verb;
    return text;
}

constexpr std::size_t kMostEntries = 1000;  ///< of the audit log, in one answer
constexpr std::size_t kUsualEntries = 50;
constexpr std::size_t kArgumentBytes = 16 * 1024;  ///< of one act: all of them are written down
constexpr std::string_view kPerson = "by=";

/// "yes" rehearses, "no" is an act like any other.
bool wants_rehearsal(Arguments& arguments) {
    if (!arguments.has("dry-run")) return false;
    const std::string value = arguments.text("dry-run");
    if (value != "yes" && value != "no") arguments.complain("dry-run must be yes or no");
    return value == "yes";
}

Result<AskLoss> read_loss(Arguments& arguments, const State& state) {
    const std::string host = arguments.text("host");
    if (const std::string verdict = arguments.verdict(); !verdict.empty()) return failure(ErrorCode::invalid, verdict);
    const auto known = state.host_names.find(host);
    if (known == state.host_names.end()) return failure(ErrorCode::not_found, "there is no host named '" + host + "'");
    return AskLoss{known->second};
}

}  // namespace

bool acts_on_something(const AdminRequest& request) { return acts().contains(request.verb); }

PeerRole least_role(const AdminRequest& request) {
    if (request.verb == "audit") return kAdministrator;
    return only_looks(request) ? PeerRole::observer : acts().at(request.verb).least;
}

Unrecorded when_unrecorded(const AdminRequest& request) {
    const auto act = acts().find(request.verb);
    return act == acts().end() ? kRecordFirst : act->second.unrecorded;
}

bool names_person(const AdminRequest& request) {
    return std::any_of(request.arguments.begin(), request.arguments.end(), [](const std::string& one) { return one.starts_with(kPerson); });
}

Result<std::string> take_person(AdminRequest& request) {
    std::vector<std::string> names;
    for (const std::string& argument : request.arguments) {
        if (argument.starts_with(kPerson)) names.push_back(argument.substr(kPerson.size()));
    }
    if (names.empty()) return std::string();
    if (names.size() > 1 || names[0].empty() || names[0].size() > limits::kNameBytes) {
        return failure(ErrorCode::invalid, request.verb + ": by=NAME must be given once, with 1 to " + std::to_string(limits::kNameBytes) + " bytes");
    }
    std::erase_if(request.arguments, [](const std::string& one) { return one.starts_with(kPerson); });
    return names[0];
}

bool only_looks(const AdminRequest& request) {
    if (!acts_on_something(request)) return true;
    return std::find(request.arguments.begin(), request.arguments.end(), "dry-run=yes") != request.arguments.end();
}

Result<AdminOrder> read_order(ClientId client, const AdminRequest& request, const State& state) {
    Arguments arguments(request);
    AdminOrder order = AskView{};
    if (request.verb == "watch") {
        order = AskWatch{};
    } else if (request.verb == "incident") {
        order = AskIncident{arguments.id<IncidentId>("id")};
    } else if (request.verb == "audit") {
        order = AskAudit{arguments.has("count") ? arguments.number("count", 1, kMostEntries) : kUsualEntries};
    } else if (request.verb == "what-if") {
        return read_loss(arguments, state);
    } else if (request.verb != "view") {
        const auto act = acts().find(request.verb);
        if (act == acts().end()) {
            return failure(ErrorCode::invalid, "there is no verb \"" + request.verb + "\"; there are: " + all_verbs());
        }
        std::size_t bytes = 0;
        for (const std::string& argument : request.arguments) bytes += argument.size();
        if (bytes > kArgumentBytes) arguments.complain("the arguments have more than " + std::to_string(kArgumentBytes) + " bytes together");
        Wish wish = act->second.read(arguments, state);
        if (wants_rehearsal(arguments)) {
            static_cast<void>(arguments.optional_text("reason"));
            order = AskRehearsal{std::move(wish)};
        } else {
            order = Intent{client, request.request, arguments.text("reason"), std::move(wish)};
        }
    }
    if (const std::string verdict = arguments.verdict(); !verdict.empty()) return failure(ErrorCode::invalid, verdict);
    return order;
}

}  // namespace understudy::manager
