// See saved_domain.hpp. The form of the file is libvirt's own (version 2 of it, since 2012): a header of
// numbers in the machine's byte order, the description, a "cookie" of things that libvirt must know to start
// the same machine, room for longer descriptions, and then QEMU's stream.
#include "manager/adapters/hypervisor/saved_domain.hpp"

#include <array>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr char kMagic[16] = {'L', 'i', 'b', 'v', 'i', 'r', 't', 'Q', 'e', 'm', 'u', 'd', 'S', 'a', 'v', 'e'};
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kMostBytes = 1 << 20;

struct Header {
    char magic[16];
    std::uint32_t version;
    std::uint32_t data_bytes;    ///< description, cookie and room
    std::uint32_t was_running;
    std::uint32_t compressed;
    std::uint32_t cookie_offset; ///< in the data; 0: there is none
    std::uint32_t unused[14];
};
static_assert(sizeof(Header) == 92);

}  // namespace

Result<> rename_saved_domain(const std::string& path, const std::string& xml) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!file) return system_failure("open " + path);
    Header header{};
    if (::pread(file.get(), &header, sizeof header, 0) != sizeof header) return system_failure("read " + path);
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.version != kVersion || header.data_bytes > kMostBytes ||
        header.cookie_offset > header.data_bytes) {
        return failure(ErrorCode::damaged, path + " is no saved memory of a form that is known");
    }
    std::string data(header.data_bytes, '\0');
    if (::pread(file.get(), data.data(), data.size(), sizeof header) != static_cast<ssize_t>(data.size())) return system_failure("read " + path);
    std::string cookie;
    if (header.cookie_offset != 0) cookie = data.substr(header.cookie_offset, data.find('\0', header.cookie_offset) - header.cookie_offset) + '\0';
    std::string renamed = xml + '\0' + cookie;
    if (renamed.size() > data.size()) return failure(ErrorCode::limit, path + " has no room for a longer description");
    if (!cookie.empty()) header.cookie_offset = static_cast<std::uint32_t>(xml.size() + 1);
    renamed.resize(data.size(), '\0');
    if (::pwrite(file.get(), &header, sizeof header, 0) != sizeof header ||
        ::pwrite(file.get(), renamed.data(), renamed.size(), sizeof header) != static_cast<ssize_t>(renamed.size())) {
        return system_failure("write " + path);
    }
    return {};
}

}  // namespace understudy::manager
