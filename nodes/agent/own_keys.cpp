// See own_keys.hpp.
#include "nodes/agent/own_keys.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include <toml++/toml.h>
#include <zmq.h>

#include "nodes/agent/base/descriptor.hpp"

namespace understudy::node {
namespace {

CurvePair make_pair() {
    std::array<char, 41> open{};
    std::array<char, 41> secret{};
    const int made = ::zmq_curve_keypair(open.data(), secret.data());
    assert(made == 0 && "libzmq was built without CURVE");
    static_cast<void>(made);
    return {open.data(), secret.data()};
}

Result<> sync_folder(const std::string& folder) {
    const Descriptor at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!at || ::fsync(at.get()) != 0) return failure(ErrorCode::failed, "can't sync " + folder + ": " + std::strerror(errno));
    return {};
}

}  // namespace

Result<OwnKeys> OwnKeys::load(const Config& config) {
    OwnKeys keys;
    keys.file_ = config.state_folder + "/agent.keys";
    keys.given_ = config.public_key;
    keys.current_ = {config.public_key, config.secret_key};
    std::ifstream from(keys.file_, std::ios::binary);
    if (!from) {
        if (!std::filesystem::exists(keys.file_)) return keys;
        return failure(ErrorCode::failed, "can't read " + keys.file_ + ": " + std::strerror(errno));
    }
    try {
        const toml::table table = toml::parse(std::string(std::istreambuf_iterator<char>(from), {}), keys.file_);
        const auto word = [&table](const char* name) { return table[name].value_or(std::string()); };
        if (word("given") != config.public_key) return keys;
        if (!word("public").empty()) keys.current_ = {word("public"), word("secret")};
        keys.next_ = {word("next_public"), word("next_secret")};
        keys.made_wall_ms_ = table["made_wall_ms"].value_or(std::int64_t{0});
        keys.next_made_wall_ms_ = table["next_made_wall_ms"].value_or(std::int64_t{0});
    } catch (const toml::parse_error& error) {
        return failure(ErrorCode::damaged, keys.file_ + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description()) +
                                               "; remove it and give this machine a new one-time key");
    }
    return keys;
}

Result<CurvePair> OwnKeys::next(std::int64_t wall_ms) {
    if (next_.public_key.empty()) {
        next_ = make_pair();
        next_made_wall_ms_ = wall_ms;
    }
    // Also one that was there: whether it was synced is not known.
    if (const auto written = write(); !written) return tl::unexpected(written.error());
    return next_;
}

Result<> OwnKeys::take_next() {
    assert(!next_.public_key.empty());
    const OwnKeys before = *this;
    current_ = std::exchange(next_, {});
    made_wall_ms_ = std::exchange(next_made_wall_ms_, 0);
    auto written = write();
    if (!written) *this = before;
    return written;
}

Result<> OwnKeys::write() const {
    std::ostringstream text;
    text << toml::table{{"given", given_}, {"public", is_given() ? std::string() : current_.public_key},
                        {"secret", is_given() ? std::string() : current_.secret_key}, {"made_wall_ms", made_wall_ms_},
                        {"next_public", next_.public_key}, {"next_secret", next_.secret_key}, {"next_made_wall_ms", next_made_wall_ms_}}
         << "\n";
    const std::string words = text.str();
    const std::string draft = file_ + ".new";
    const std::string folder = std::filesystem::path(file_).parent_path().string();
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    const Descriptor to(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!to || ::write(to.get(), words.data(), words.size()) != static_cast<ssize_t>(words.size()) || ::fsync(to.get()) != 0 ||
        ::rename(draft.c_str(), file_.c_str()) != 0) {
        return failure(ErrorCode::failed, "can't write " + file_ + ": " + std::strerror(errno));
    }
    return sync_folder(folder);
}

}  // namespace understudy::node
