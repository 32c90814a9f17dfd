// See criu_rpc.hpp. Field numbers are those of CRIU 3.17's rpc.proto and stats.proto.
#include "nodes/execution/criu_rpc.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

namespace understudy::node {
namespace {

constexpr std::uint64_t kNotify = 6;
constexpr std::uint32_t kGhostLimitBytes = 256U * 1024 * 1024;  // deleted files that are still open

// The few wire types that are needed.
class ProtoWriter {
  public:
    void number(unsigned field, std::uint64_t value) {
        varint(field << 3U);
        varint(value);
    }
    void text(unsigned field, std::string_view value) {
        varint((field << 3U) | 2U);
        varint(value.size());
        bytes_.append(value);
    }
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

  private:
    void varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7U) bytes_.push_back(static_cast<char>(value | 0x80U));
        bytes_.push_back(static_cast<char>(value));
    }
    std::string bytes_;
};

struct ProtoField {
    unsigned number = 0;
    std::uint64_t value = 0;
    std::string_view text;
};

class ProtoReader {
  public:
    explicit ProtoReader(std::string_view bytes) : rest_(bytes) {}

    std::optional<ProtoField> next() {
        const auto key = varint();
        if (!key) return {};
        ProtoField field;
        field.number = static_cast<unsigned>(*key >> 3U);
        if ((*key & 7U) == 0) {
            const auto value = varint();
            if (!value) return {};
            field.value = *value;
        } else if ((*key & 7U) == 2) {
            const auto size = varint();
            if (!size || *size > rest_.size()) return {};
            field.text = rest_.substr(0, *size);
            rest_.remove_prefix(*size);
        } else {
            const std::size_t width = (*key & 7U) == 1 ? 8 : 4;
            if (rest_.size() < width) return {};
            rest_.remove_prefix(width);
        }
        return field;
    }

  private:
    std::optional<std::uint64_t> varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
            if ((byte & 0x80U) == 0) return value;
        }
        return {};
    }
    std::string_view rest_;
};

std::string encode(CriuRequest request, const CriuOptions& options) {
    ProtoWriter opts;
    opts.number(1, static_cast<std::uint64_t>(options.images_folder));
    if (options.pid > 0) opts.number(2, static_cast<std::uint64_t>(options.pid));
    if (request == CriuRequest::dump) opts.number(3, 1);  // leave running
    if (options.external_sockets) opts.number(4, 1);
    opts.number(8, 1);  // file locks
    opts.number(9, 1);  // log level: errors; more would lengthen the pause
    opts.text(10, request == CriuRequest::restore ? "restore.log" : "dump.log");
    if (request == CriuRequest::dump) opts.number(12, 1);  // tell us about the stages
    if (!options.root.empty()) opts.text(13, options.root);
    if (!options.parent_images.empty()) opts.text(14, options.parent_images);
    if (options.track_memory) opts.number(15, 1);
    opts.number(24, 1);
    if (options.restore_as_our_child) opts.number(26, 1);
    for (const auto& [key, descriptor] : options.inherited) {
        ProtoWriter inherited;
        inherited.text(1, key);
        inherited.number(2, static_cast<std::uint64_t>(descriptor));
        opts.text(27, inherited.bytes());
    }
    opts.number(34, 0);  // control groups are ours
    opts.number(35, kGhostLimitBytes);
    for (const auto& external : options.external) opts.text(37, external);
    opts.number(52, 1);  // network connections are closed at a restore: the other end is not there any more
    ProtoWriter message;
    message.number(1, static_cast<std::uint64_t>(request));
    message.text(2, opts.bytes());
    return message.bytes();
}

struct Reply {
    std::uint64_t type = 0;
    bool success = false;
    int pid = 0;
    std::uint64_t error_number = 0;
    std::string words;
    std::string stage;
};

Reply decode_reply(std::string_view bytes) {
    Reply reply;
    ProtoReader reader(bytes);
    while (const auto field = reader.next()) {
        if (field->number == 1) reply.type = field->value;
        if (field->number == 2) reply.success = field->value != 0;
        if (field->number == 7) reply.error_number = field->value;
        if (field->number == 9) reply.words = field->text;
        if (field->number == 4) {
            ProtoReader inner(field->text);
            while (const auto part = inner.next()) {
                if (part->number == 1) reply.pid = static_cast<int>(part->value);
            }
        }
        if (field->number == 5) {
            ProtoReader inner(field->text);
            while (const auto part = inner.next()) {
                if (part->number == 1) reply.stage = part->text;
            }
        }
    }
    return reply;
}

}  // namespace

Result<CriuAnswer> ask_criu(int socket, CriuRequest request, const CriuOptions& options,
                            const std::function<bool()>& on_stopped) {
    const std::string message = encode(request, options);
    if (::send(socket, message.data(), message.size(), MSG_NOSIGNAL) < 0) {
        return failure(ErrorCode::unavailable, std::string("criu does not take a request: ") + std::strerror(errno));
    }
    std::array<char, 64 * 1024> buffer{};
    for (;;) {
        const auto length = ::recv(socket, buffer.data(), buffer.size(), 0);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return failure(ErrorCode::unavailable, "criu went away without an answer");
        const Reply reply = decode_reply({buffer.data(), static_cast<std::size_t>(length)});
        if (reply.type != kNotify) {
            if (reply.success) return CriuAnswer{reply.pid};
            std::string words = reply.words;
            if (words.empty() && reply.error_number != 0) words = std::strerror(static_cast<int>(reply.error_number));
            return failure(ErrorCode::failed, words);
        }
        const bool go_on = reply.stage != "post-dump" || !on_stopped || on_stopped();
        ProtoWriter answer;
        answer.number(1, kNotify);
        answer.number(3, go_on ? 1 : 0);
        if (::send(socket, answer.bytes().data(), answer.bytes().size(), MSG_NOSIGNAL) < 0) {
            return failure(ErrorCode::unavailable, "criu went away at its stage " + reply.stage);
        }
    }
}

std::string errors_of_log(const std::string& file) {
    std::ifstream log(file);
    std::string line;
    std::string words;
    int count = 0;
    while (count < 3 && std::getline(log, line)) {
        const auto at = line.find("Error (");
        if (at == std::string::npos) continue;
        auto text = line.find("): ", at);
        if (text == std::string::npos) continue;
        // Asked of every kernel; means only that this one has no such devices.
        if (line.find("tun: Unable to create tun") != std::string::npos || line.find("(empty-image)") != std::string::npos) continue;
        words += (words.empty() ? "" : "; ") + line.substr(text + 3);
        ++count;
    }
    return words;
}

std::uint64_t stopped_us_of_dump(const std::string& images_folder) {
    std::ifstream file(images_folder + "/stats-dump", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    constexpr std::size_t kHeader = 12;  // two magic numbers and the length of the one record
    if (bytes.size() <= kHeader) return 0;
    ProtoReader reader(std::string_view(bytes).substr(kHeader));
    while (const auto field = reader.next()) {
        if (field->number != 1) continue;
        std::uint64_t total = 0;
        ProtoReader inner(field->text);
        while (const auto part = inner.next()) {
            if (part->number == 1 || part->number == 2) total += part->value;  // freezing, frozen
        }
        return total;
    }
    return 0;
}

}  // namespace understudy::node
