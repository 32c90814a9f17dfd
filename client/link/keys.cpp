// See keys.hpp.
#include "client/link/keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <zmq.h>

#include "client/link/option_file.hpp"

namespace understudy::client {
namespace {

constexpr std::size_t kKeyCharacters = 40;

Result<> write_all(int file, std::string_view text, const std::string& path) {
    while (!text.empty()) {
        const ssize_t written = ::write(file, text.data(), text.size());
        if (written < 0) {
            return failure(ErrorCode::failed, "cannot write " + path + ": " + std::strerror(errno));
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

}  // namespace

KeyPair make_key_pair() {
    std::array<char, kKeyCharacters + 1> open{};
    std::array<char, kKeyCharacters + 1> secret{};
    const int made = zmq_curve_keypair(open.data(), secret.data());
    assert(made == 0 && "libzmq was built without CURVE");
    static_cast<void>(made);
    return {open.data(), secret.data()};
}

bool is_curve_key(std::string_view text) {
    if (text.size() != kKeyCharacters) return false;
    std::array<std::uint8_t, 32> bytes{};
    return zmq_z85_decode(bytes.data(), std::string(text).c_str()) != nullptr;
}

namespace {

/// Readable by its owner alone, and synced.
Result<> write_new_file(const std::string& path, const std::string& text) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0 && errno == EEXIST) {
        return failure(ErrorCode::refused, path + " exists already and is not overwritten: name another file");
    }
    if (file < 0) return failure(ErrorCode::failed, "cannot make " + path + ": " + std::strerror(errno));
    auto written = write_all(file, text, path);
    if (written && ::fsync(file) != 0) {
        written = failure(ErrorCode::failed, "cannot sync " + path + ": " + std::strerror(errno));
    }
    ::close(file);
    return written;
}

}  // namespace

Result<> write_key_file(const std::string& path, const KeyPair& keys) {
    return write_new_file(path, "# CURVE keys of one Understudy client. Keep secret_key secret.\npublic_key = \"" + keys.public_key +
                                    "\"\nsecret_key = \"" + keys.secret_key + "\"\n");
}

Result<> write_one_time_key_file(const std::string& path, const KeyPair& keys) {
    return write_new_file(path, "# For the configuration of one agent, which makes a key of its own with this.\n[keys]\npublic = \"" + keys.public_key +
                                    "\"\nsecret = \"" + keys.secret_key + "\"\none_time = true\n");
}

Result<KeyPair> read_key_file(const std::string& path) {
    const auto file = OptionFile::read(path);
    if (!file) return tl::unexpected(file.error());
    KeyPair keys;
    for (const auto& [option, target] : {std::pair{"public_key", &keys.public_key}, std::pair{"secret_key", &keys.secret_key}}) {
        auto text = file->required_text(option);
        if (!text) return tl::unexpected(text.error());
        if (!is_curve_key(*text)) return file->complaint(option, "is not a CURVE key (40 characters of Z85)");
        *target = std::move(*text);
    }
    return keys;
}

}  // namespace understudy::client
