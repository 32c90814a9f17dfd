// See state_directory.hpp.
#include "manager/adapters/config/state_directory.hpp"

#include <array>
#include <cassert>
#include <chrono>
#include <filesystem>

#include <sodium.h>
#include <toml++/toml.h>
#include <zmq.h>

#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

struct Pair {
    std::string public_half;
    std::string secret_half;
};

std::string text_of(const Pair& pair, const std::string& head) {
    return "# " + head + " Keep secret_key secret.\npublic_key = \"" + pair.public_half + "\"\nsecret_key = \"" +
           pair.secret_half + "\"\n";
}

Result<Pair> read_pair(const std::string& path) {
    auto text = read_file(path);
    if (!text) return tl::unexpected(text.error());
    try {
        const toml::table table = toml::parse(*text, path);
        Pair pair{table["public_key"].value_or(std::string()), table["secret_key"].value_or(std::string())};
        if (!pair.public_half.empty() && !pair.secret_half.empty()) return pair;
        return failure(ErrorCode::damaged, path + " has no public_key and secret_key: put a copy of it back");
    } catch (const toml::parse_error& error) {
        return failure(ErrorCode::damaged, path + ":" + std::to_string(error.source().begin.line) + ": " +
                                               std::string(error.description()) + "; put a copy of the file back");
    }
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

std::string make_cluster_id() {
    std::array<unsigned char, 16> bytes{};
    randombytes_buf(bytes.data(), bytes.size());
    std::array<char, 33> text{};
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    return text.data();
}

/// Writes a file only when there is none: keys that are lost cannot be had back.
Result<> write_once(const std::string& path, const std::string& content) {
    if (const auto present = read_file(path); present || present.error().code != ErrorCode::not_found) return {};
    return write_file(path, content);
}

/// A key that cannot sign must be found out now, not at the first failover.
Result<> try_keys(const StateDirectory& directory) {
    const auto sealed = seal_ticket(TicketClaims{}, directory.ticket_keys.secret);
    if (!sealed || !open_ticket(*sealed, directory.ticket_keys.public_key)) {
        return failure(ErrorCode::damaged, directory.path + "/ticket.keys does not hold a signing pair: put a copy of it back");
    }
    std::array<char, 41> public_key{};
    if (zmq_curve_public(public_key.data(), directory.keys.secret_key.c_str()) != 0 ||
        directory.keys.public_key != public_key.data()) {
        return failure(ErrorCode::damaged, directory.path + "/manager.keys does not hold a CURVE pair: put a copy of it back");
    }
    return {};
}

}  // namespace

CurveKeys make_curve_keys() {
    std::array<char, 41> public_key{};
    std::array<char, 41> secret_key{};
    const int made = zmq_curve_keypair(public_key.data(), secret_key.data());
    assert(made == 0 && "libzmq was built without CURVE");
    static_cast<void>(made);
    return {public_key.data(), secret_key.data()};
}

Result<StateDirectory> make_state_directory(const std::string& path) {
    if (sodium_init() < 0) return failure(ErrorCode::failed, "libsodium does not start");
    // QEMU's accounts pass it on the way to what is theirs; what is ours is closed to them, file by file.
    std::error_code ignored;
    const bool is_new = !std::filesystem::exists(path, ignored);
    if (auto made = make_passable_directory(path + "/instances"); !made) return tl::unexpected(made.error());
    if (auto made = is_new ? make_passable_directory(path) : Result<>(); !made) return tl::unexpected(made.error());
    const CurveKeys keys = make_curve_keys();
    const TicketKeys tickets = make_ticket_keys();
    for (const auto& [name, content] :
         {std::pair{"manager.keys", text_of({keys.public_key, keys.secret_key}, "Who the manager is.")},
          std::pair{"ticket.keys", text_of({tickets.public_key, tickets.secret}, "What tickets are signed with.")},
          std::pair{"cluster.id", make_cluster_id() + "\n"}}) {
        if (auto written = write_once(path + "/" + name, content); !written) return tl::unexpected(written.error());
    }
    return load_state_directory(path);
}

Result<StateDirectory> load_state_directory(const std::string& path) {
    if (sodium_init() < 0) return failure(ErrorCode::failed, "libsodium does not start");
    const auto explained = [&path](Error error) {
        if (error.code == ErrorCode::not_found) error.message += "; make it with: understudyd init --dir " + path;
        return tl::unexpected(std::move(error));
    };
    StateDirectory directory;
    directory.path = path;
    auto keys = read_pair(path + "/manager.keys");
    if (!keys) return explained(keys.error());
    auto tickets = read_pair(path + "/ticket.keys");
    if (!tickets) return explained(tickets.error());
    auto cluster = read_file(path + "/cluster.id");
    if (!cluster) return explained(cluster.error());
    directory.keys = {keys->public_half, keys->secret_half};
    directory.ticket_keys = {tickets->secret_half, tickets->public_half};
    directory.cluster = trimmed(*cluster);
    if (directory.cluster.empty()) return failure(ErrorCode::damaged, path + "/cluster.id is empty: put a copy of it back");
    if (auto tried = try_keys(directory); !tried) return tl::unexpected(tried.error());
    return directory;
}

std::int64_t TicketSealer::wall_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string TicketSealer::seal(TicketClaims& claims) {
    claims.expires_wall_ms = wall_ms() + std::chrono::duration_cast<std::chrono::milliseconds>(kTicketLife).count();
    auto text = seal_ticket(claims, keys_.secret);
    assert(text && "the key was tried at start");
    return std::move(*text);
}

}  // namespace understudy::manager
