// See record_codec.hpp. Pure; any thread.
#include "manager/core/record_codec.hpp"

#include <algorithm>
#include <charconv>

#include "protocol/pack.hpp"

namespace understudy::manager {
namespace {

std::string key_text(const std::string& key) { return key; }
template <class Tag>
std::string key_text(Id<Tag> id) {
    return std::to_string(id.value);
}

bool parse_key(const std::string& text, std::string& key) {
    key = text;
    return !text.empty();
}
template <class Tag>
bool parse_key(const std::string& text, Id<Tag>& id) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id.value);
    return error == std::errc() && end == text.data() + text.size() && id.value != 0;
}

template <class Record>
Bytes to_bytes(const Record& record) {
    Bytes bytes;
    pack::append(bytes, record);
    return bytes;
}

/// Every table of the durable half, in one place.
template <class Visit>
void each_table(auto& state, Visit&& visit) {
    visit(state.hosts);
    visit(state.pools);
    visit(state.environments);
    visit(state.profiles);
    visit(state.nodes);
    visit(state.terminals);
    visit(state.sessions);
    visit(state.incidents);
}

template <class Key, class Record>
Result<bool> read_row(KeyedTable<Key, Record>& table, const std::string& kind, const std::string& name,
                      const Bytes& value) {
    if (table.kind() != kind) return false;
    Key key{};
    if (!parse_key(name, key)) return failure(ErrorCode::damaged, "record key '" + kind + "/" + name + "'");
    auto record = pack::parse<Record>(value);
    if (!record) {
        return failure(ErrorCode::damaged, "record '" + kind + "/" + name + "': " + record.error().message);
    }
    table.load(key, std::move(*record));
    return true;
}

}  // namespace

std::vector<Write> drain_writes(State& state) {
    std::vector<Write> writes;
    state.manager.drain([&](const ManagerRecord& row) { writes.push_back({state.manager.kind(), to_bytes(row)}); });
    each_table(state, [&](auto& table) {
        table.drain([&](const auto& key, const auto* row) {
            writes.push_back({table.kind() + "/" + key_text(key), row == nullptr ? Bytes{} : to_bytes(*row)});
        });
    });
    return writes;
}

Image write_image(const State& state) {
    Image image;
    image.emplace_back(state.manager.kind(), to_bytes(state.manager.get()));
    each_table(state, [&](const auto& table) {
        for (const auto& [key, row] : table.rows()) {
            image.emplace_back(table.kind() + "/" + key_text(key), to_bytes(row));
        }
    });
    std::sort(image.begin(), image.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return image;
}

Result<> read_image(State& state, const Image& image) {
    for (const auto& [key, value] : image) {
        if (key == state.manager.kind()) {
            auto record = pack::parse<ManagerRecord>(value);
            if (!record) return failure(ErrorCode::damaged, "record 'manager': " + record.error().message);
            state.manager.load(*record);
            continue;
        }
        const auto slash = key.find('/');
        if (slash == std::string::npos) return failure(ErrorCode::damaged, "record key '" + key + "'");
        const std::string kind = key.substr(0, slash);
        const std::string name = key.substr(slash + 1);
        bool known = false;
        Result<> outcome;
        each_table(state, [&](auto& table) {
            if (known || !outcome) return;
            auto read = read_row(table, kind, name, value);
            if (!read) outcome = tl::unexpected(read.error());
            else known = *read;
        });
        if (!outcome) return outcome;
        if (!known) {
            return failure(ErrorCode::damaged, "record '" + key + "' is of a kind this release does not know");
        }
    }
    return {};
}

}  // namespace understudy::manager
