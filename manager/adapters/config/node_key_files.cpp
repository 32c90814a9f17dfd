// See node_key_files.hpp. The thread owns the files.
#include "manager/adapters/config/node_key_files.hpp"

#include <poll.h>

#include <filesystem>
#include <sstream>
#include <utility>

#include <toml++/toml.h>

#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/signals.hpp"

namespace understudy::manager {
namespace {

std::string text_of(const NodeKeys& keys) {
    std::ostringstream text;
    text << toml::table{{"node", static_cast<std::int64_t>(keys.node.value)}, {"given", keys.given}, {"key", keys.key}, {"next", keys.next}} << "\n";
    return text.str();
}

Result<NodeKeys> parse(const std::string& text, const std::string& path) {
    try {
        const toml::table table = toml::parse(text, path);
        const auto word = [&table](const char* name) { return table[name].value_or(std::string()); };
        NodeKeys keys{NodeId(static_cast<std::uint64_t>(table["node"].value_or(std::int64_t{0}))), word("given"), word("key"), word("next")};
        if (keys.node && !keys.given.empty() && !keys.key.empty()) return keys;
    } catch (const toml::parse_error&) {
        // Said below.
    }
    return failure(ErrorCode::damaged, path + " cannot be read: its node has to be given a key anew");
}

}  // namespace

NodeKeyFiles::NodeKeyFiles(std::string directory, ArrivalSink sink)
    : directory_(std::move(directory)), sink_(std::move(sink)), thread_(start_thread([this] { run(); })) {}

NodeKeyFiles::~NodeKeyFiles() {
    orders_.push(Stop{});
    thread_.join();
}

void NodeKeyFiles::run() {
    for (bool stop = false; !stop;) {
        pollfd waiting{orders_.descriptor(), POLLIN, 0};
        ::poll(&waiting, 1, -1);
        for (const Order& order : orders_.take_all()) {
            std::error_code ignored;
            if (const auto* keys = std::get_if<NodeKeys>(&order)) sink_(KeysKept{*keys, write(*keys)});
            else if (const auto* node = std::get_if<NodeId>(&order)) std::filesystem::remove(path(*node), ignored);
            else stop = true;
        }
    }
}

Result<> NodeKeyFiles::write(const NodeKeys& keys) const {
    return make_directory(directory_).and_then([&] { return write_file(path(keys.node), text_of(keys)); });
}

std::string NodeKeyFiles::path(NodeId node) const { return directory_ + "/" + to_string(node) + ".toml"; }

std::vector<NodeKeys> NodeKeyFiles::load_all(const std::string& directory, std::vector<std::string>& problems) {
    std::vector<NodeKeys> all;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
        if (entry.path().extension() != ".toml") continue;
        const auto text = read_file(entry.path().string());
        const auto keys = text ? parse(*text, entry.path().string()) : tl::unexpected(text.error());
        if (keys) all.push_back(*keys);
        else problems.push_back(keys.error().message);
    }
    return all;
}

}  // namespace understudy::manager
