// See checkpoint_meta.hpp.
#include "nodes/execution/checkpoint_meta.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "nodes/agent/base/descriptor.hpp"
#include "protocol/pack.hpp"

namespace understudy::node {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kDigestBytes = 32;

template <class T>
Bytes packed(const T& value) {
    Bytes bytes;
    pack::append(bytes, value);
    return bytes;
}

crypto_generichash_state* as_state(unsigned char* memory) { return reinterpret_cast<crypto_generichash_state*>(memory); }

Result<std::string> digest_file(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return failure(ErrorCode::failed, "can't open " + path + ": " + std::strerror(errno));
    std::vector<std::uint8_t> block(256 * 1024);
    Digest digest;
    for (ssize_t got = 0; (got = ::read(file.get(), block.data(), block.size())) != 0;) {
        if (got < 0) return failure(ErrorCode::failed, "can't read " + path + ": " + std::strerror(errno));
        digest.add({block.data(), static_cast<std::size_t>(got)});
    }
    return digest.finish();
}

}  // namespace

std::string folder_of(CheckpointId id) { return std::to_string(id.epoch) + "-" + std::to_string(id.sequence); }

Bytes to_bytes(const CheckpointMeta& value) { return packed(value); }
Bytes to_bytes(const CheckpointList& value) { return packed(value); }
Bytes to_bytes(const CheckpointVerdict& value) { return packed(value); }
Result<CheckpointMeta> meta_from(BytesView bytes) { return pack::parse<CheckpointMeta>(bytes); }
Result<CheckpointList> list_from(BytesView bytes) { return pack::parse<CheckpointList>(bytes); }
Result<CheckpointVerdict> verdict_from(BytesView bytes) { return pack::parse<CheckpointVerdict>(bytes); }

bool is_safe_name(const std::string& name) {
    if (name == "files.pack") return true;
    const std::string prefix = "images/";
    if (name.size() > 200 || !name.starts_with(prefix)) return false;
    const std::string rest = name.substr(prefix.size());
    return !rest.empty() && rest.front() != '.' && rest.find('/') == std::string::npos && rest.find('\0') == std::string::npos;
}

Digest::Digest() {
    static_assert(sizeof(crypto_generichash_state) <= sizeof state_);
    crypto_generichash_init(as_state(state_), nullptr, 0, kDigestBytes);
}

void Digest::add(BytesView bytes) { crypto_generichash_update(as_state(state_), bytes.data(), bytes.size()); }

std::string Digest::finish() {
    std::array<unsigned char, kDigestBytes> result{};
    crypto_generichash_final(as_state(state_), result.data(), result.size());
    std::string text(kDigestBytes * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), result.data(), result.size());
    text.pop_back();
    return text;
}

Result<std::vector<CheckpointFile>> digest_files(const std::string& folder) {
    std::vector<CheckpointFile> files;
    std::error_code wrong;
    std::vector<std::string> names{"files.pack"};
    for (const auto& entry : fs::directory_iterator(folder + "/images", wrong)) {
        // The link to the parent is made again by whoever receives the checkpoint; logs stay here.
        const std::string name = entry.path().filename().string();
        if (entry.is_symlink() || name.ends_with(".log")) continue;
        names.push_back("images/" + name);
    }
    if (wrong) return failure(ErrorCode::failed, "can't list " + folder + "/images: " + wrong.message());
    for (const auto& name : names) {
        const std::string path = folder + "/" + name;
        auto digest = digest_file(path);
        if (!digest) return tl::unexpected(digest.error());
        files.push_back({name, fs::file_size(path, wrong), std::move(*digest)});
    }
    return files;
}

Result<> write_meta(const std::string& folder, const CheckpointMeta& meta) {
    const Bytes bytes = to_bytes(meta);
    std::ofstream file(folder + "/meta", std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) return failure(ErrorCode::failed, "can't write " + folder + "/meta; is the disk full?");
    return {};
}

Result<CheckpointMeta> read_meta(const std::string& folder) {
    std::ifstream file(folder + "/meta", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file && bytes.empty()) return failure(ErrorCode::damaged, "can't read " + folder + "/meta");
    return meta_from({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace understudy::node
