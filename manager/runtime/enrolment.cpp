// See enrolment.hpp.
#include "manager/runtime/enrolment.hpp"

#include <algorithm>
#include <utility>

#include "protocol/result.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kKeyBytes = 40;
constexpr std::size_t kMostWaiting = 8;  ///< words of one node that wait for one answer

/// The 85 characters of Z85 (ZeroMQ RFC 32).
bool is_key(const std::string& text) {
    constexpr std::string_view kSigns = ".-:+=^!/*?&<>()[]{}@%$#";
    return text.size() == kKeyBytes && std::all_of(text.begin(), text.end(), [kSigns](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kSigns.find(c) != std::string_view::npos;
    });
}

}  // namespace

Enrolment::Enrolment(PeersPort& peers, KeyKeeperPort& keeper, LogSink log, const std::vector<NodeKeys>& kept)
    : peers_(peers), keeper_(keeper), log_(std::move(log)) {
    for (const NodeKeys& keys : kept) kept_.emplace(keys.node, keys);
}

void Enrolment::give(NodeId id, const std::string& name, const GivenKey& given) {
    const auto known = nodes_.find(id);
    if (known != nodes_.end() && known->second.given.key == given.key) {
        known->second.given = given;
        return;
    }
    revoke(id, false);
    Node node{name, given, {id, given.key, given.key, {}}, {}};
    const auto kept = kept_.find(id);
    // Of another given key: what that machine was is no more.
    if (kept != kept_.end() && kept->second.given == given.key) node.keys = kept->second;
    admit(node);
    nodes_.emplace(id, std::move(node));
}

void Enrolment::admit(const Node& node) const {
    const NodeKeys& keys = node.keys;
    const bool newcomer = node.given.one_time && keys.key == keys.given;
    peers_.admit(keys.key, {newcomer ? PeerRole::newcomer : PeerRole::agent, node.name, keys.node, {}, {}});
    if (!keys.next.empty()) peers_.admit(keys.next, {PeerRole::agent, node.name, keys.node, {}, keys.key});
}

void Enrolment::revoke(NodeId id, bool forget) {
    const auto found = nodes_.find(id);
    if (forget) {
        kept_.erase(id);
        keeper_.forget(id);
    }
    if (found == nodes_.end()) return;
    peers_.revoke(found->second.keys.key);
    if (!found->second.keys.next.empty()) peers_.revoke(found->second.keys.next);
    if (!forget) kept_.insert_or_assign(id, found->second.keys);
    nodes_.erase(found);
}

/// Why a key cannot be named now; empty: it can.
std::string Enrolment::refusal_of(const Node& node, const KeyOffered& offer, TimePoint now) const {
    const NodeKeys& keys = node.keys;
    if (!is_key(offer.key) || offer.key == keys.key || offer.key == keys.given) return "a new public CURVE key is wanted: 40 characters of Z85";
    if (!node.given.one_time || offer.under != keys.given || offer.key == keys.next) return {};
    if (!keys.next.empty()) return "this one-time key was used by somebody else; give the machine another, and find out who that was";
    if (now > node.given.until) return "this one-time key has expired; give the machine another";
    return {};
}

void Enrolment::offered(const KeyOffered& offer, TimePoint now) {
    const auto found = nodes_.find(offer.node);
    // Its key was revoked while the word was on its way, or the configuration alone says which key it has.
    if (found == nodes_.end() || found->second.keys.key != offer.under) {
        return answer(offer, static_cast<std::uint32_t>(ErrorCode::refused), "this key is in the configuration of the manager, and is replaced there");
    }
    Node& node = found->second;
    if (const std::string why = refusal_of(node, offer, now); !why.empty()) {
        log_(LogWeight::alarm, "node " + to_string(offer.node) + " (" + node.name + ") named a key and was refused: " + why);
        return answer(offer, static_cast<std::uint32_t>(ErrorCode::refused), why);
    }
    if (node.keys.next == offer.key && node.waiting.empty()) return answer(offer, 0, "named");
    const bool being_kept = !node.waiting.empty();
    if (being_kept && (node.keys.next != offer.key || node.waiting.size() >= kMostWaiting)) return;  // it says it again
    node.waiting.push_back(offer);
    if (being_kept) return;
    // One that was named by a key in use and never spoke gives way to a later one.
    if (!node.keys.next.empty()) peers_.revoke(node.keys.next);
    node.keys.next = offer.key;
    keeper_.keep(node.keys);
}

void Enrolment::kept(const KeysKept& kept) {
    const auto found = nodes_.find(kept.keys.node);
    if (!kept.outcome) log_(LogWeight::alarm, "the keys of node " + to_string(kept.keys.node) + " cannot be kept: " + kept.outcome.error().message);
    if (found == nodes_.end() || found->second.keys != kept.keys || kept.keys.next.empty()) return;  // there is something newer
    Node& node = found->second;
    const std::vector<KeyOffered> waiting = std::exchange(node.waiting, {});
    if (!kept.outcome) node.keys.next.clear();
    else admit(node);
    for (const KeyOffered& offer : waiting) {
        if (kept.outcome) answer(offer, 0, "named");
        else answer(offer, static_cast<std::uint32_t>(ErrorCode::unavailable), "the key cannot be kept; say it again: " + kept.outcome.error().message);
    }
}

void Enrolment::taken(const KeyTaken& taken) {
    const auto found = nodes_.find(taken.node);
    if (found == nodes_.end() || found->second.keys.next != taken.key) return;
    NodeKeys& keys = found->second.keys;
    log_(LogWeight::info, "node " + to_string(taken.node) + " speaks with a key of its own making; the one before it is void");
    keys.key = std::exchange(keys.next, {});
    keeper_.keep(keys);
}

void Enrolment::answer(const KeyOffered& offer, std::uint32_t code, const std::string& text) const {
    const KeyNamed named{offer.key, code, text};
    if (offer.from) peers_.send(offer.from, named);
    else peers_.send(offer.node, named);
}

}  // namespace understudy::manager
