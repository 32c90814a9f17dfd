// See content_digests.hpp.
#include "manager/adapters/system/content_digests.hpp"

#include <array>
#include <memory>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kPart = 1 << 20;
constexpr std::size_t kMostKnown = 256;

std::string identity_of(const struct stat& file) {
    return std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino) + ":" + std::to_string(file.st_size) + ":" +
           std::to_string(file.st_mtim.tv_sec) + "." + std::to_string(file.st_mtim.tv_nsec) + ":" +
           std::to_string(file.st_ctim.tv_sec) + "." + std::to_string(file.st_ctim.tv_nsec);
}

std::string hexadecimal(const unsigned char* bytes, std::size_t count) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += kDigits[bytes[i] >> 4U];
        text += kDigits[bytes[i] & 15U];
    }
    return text;
}

Result<std::string> read_through(int file, const std::string& path) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> sum(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    if (!sum || EVP_DigestInit_ex(sum.get(), EVP_sha256(), nullptr) != 1) return failure(ErrorCode::failed, "SHA-256 does not start");
    std::vector<unsigned char> part(kPart);
    for (ssize_t got = 0; (got = ::read(file, part.data(), part.size())) != 0;) {
        if (got < 0) return system_failure("read " + path);
        EVP_DigestUpdate(sum.get(), part.data(), static_cast<std::size_t>(got));
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    EVP_DigestFinal_ex(sum.get(), digest.data(), &length);
    return hexadecimal(digest.data(), length);
}

}  // namespace

ContentDigests::ContentDigests(std::string memory) : memory_(std::move(memory)) {
    if (memory_.empty()) return;
    const auto text = read_file(memory_);
    if (!text) return;
    try {
        const toml::table table = toml::parse(*text);
        for (const auto& [path, entry] : table) {
            const auto* known = entry.as_table();
            if (known == nullptr) continue;
            known_[std::string(path.str())] = {(*known)["identity"].value_or(std::string()), (*known)["digest"].value_or(std::string())};
        }
    } catch (const toml::parse_error&) {
        // Computed again.
    }
}

Result<std::string> ContentDigests::of(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat before {};
    if (!file || ::fstat(file.get(), &before) != 0) {
        return failure(errno == ENOENT ? ErrorCode::not_found : ErrorCode::failed, system_failure("read " + path).value().message);
    }
    const auto known = known_.find(path);
    if (known != known_.end() && known->second.identity == identity_of(before) && known->second.digest.size() == 64) return known->second.digest;
    auto digest = read_through(file.get(), path);
    if (!digest) return digest;
    struct stat after {};
    ::fstat(file.get(), &after);
    if (identity_of(after) != identity_of(before)) return failure(ErrorCode::failed, path + " changed while it was read");
    remember(path, {identity_of(before), *digest});
    return digest;
}

void ContentDigests::remember(const std::string& path, const Known& known) {
    // Files that are gone are not asked for again; which of them makes way does not matter.
    if (known_.size() >= kMostKnown) known_.erase(known_.begin());
    known_[path] = known;
    if (memory_.empty()) return;
    toml::table table;
    for (const auto& [file, entry] : known_) table.insert(file, toml::table{{"identity", entry.identity}, {"digest", entry.digest}});
    std::ostringstream text;
    text << table << "\n";
    static_cast<void>(write_file(memory_, text.str()));  // without it the next start reads the file again
}

}  // namespace understudy::manager
