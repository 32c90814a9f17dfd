// See file_tree.hpp. A pack is a sequence of records: a fixed header, the path, then contents. Paths that
// are gone come first, folders before what is in them, and the times of folders last.
#include "nodes/execution/file_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "nodes/execution/os_failure.hpp"
#include "nodes/agent/base/descriptor.hpp"

namespace understudy::node {
namespace {

constexpr std::uint32_t kMagic = 0x4b503155;  // "U1PK"
constexpr std::size_t kPathBytes = 4096;
constexpr std::size_t kBlockBytes = 256 * 1024;

enum class Kind : std::uint32_t { gone = 1, present = 2 };

struct RecordHeader {
    std::uint32_t magic = kMagic;
    Kind kind = Kind::present;
    std::uint32_t path_bytes = 0;
    std::uint32_t mode = 0;
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    std::uint64_t device = 0;
    std::int64_t modified_ns = 0;
    std::uint64_t content_bytes = 0;
};

std::int64_t to_ns(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

FileMark mark_of(const struct stat& info) {
    const bool folder = S_ISDIR(info.st_mode);
    return {info.st_mode, info.st_uid, info.st_gid, info.st_rdev, info.st_ino,
            folder ? 0 : static_cast<std::uint64_t>(info.st_size), to_ns(info.st_mtim), to_ns(info.st_ctim)};
}

// Depth first, by descriptors: no path is looked up twice.
Result<> collect(int folder, const std::string& prefix, TreeMarks& marks) {
    DIR* const stream = ::fdopendir(folder);
    if (stream == nullptr) {
        ::close(folder);
        return os_failure("can't list the session's folder /" + prefix);
    }
    Result<> outcome;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        struct stat info{};
        if (::fstatat(::dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue;
            outcome = os_failure("can't look at the session's file /" + prefix + name);
            break;
        }
        if (S_ISSOCK(info.st_mode)) continue;
        marks.emplace(prefix + name, mark_of(info));
        if (!S_ISDIR(info.st_mode)) continue;
        const int below = ::openat(::dirfd(stream), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0) {
            outcome = os_failure("can't open the session's folder /" + prefix + name);
            break;
        }
        if (outcome = collect(below, prefix + name + "/", marks); !outcome) break;
    }
    ::closedir(stream);
    return outcome;
}

class PackWriter {
  public:
    explicit PackWriter(const std::string& path)
        : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}

    [[nodiscard]] bool open() const { return static_cast<bool>(file_); }

    Result<> add(Kind kind, const std::string& path, const FileMark& mark, std::uint64_t content_bytes) {
        RecordHeader header;
        header.kind = kind;
        header.path_bytes = static_cast<std::uint32_t>(path.size());
        header.mode = mark.mode;
        header.user = mark.user;
        header.group = mark.group;
        header.device = mark.device;
        header.modified_ns = mark.modified_ns;
        header.content_bytes = content_bytes;
        pending_.append(reinterpret_cast<const char*>(&header), sizeof header);
        pending_ += path;
        return pending_.size() >= kBlockBytes ? flush() : Result<>{};
    }

    Result<> add_text(const std::string& text) {
        pending_ += text;
        return {};
    }

    Result<> add_file(int from, std::uint64_t bytes, const std::string& path) {
        // Small files go with the headers: one write for many of them.
        if (bytes <= 16 * 1024) {
            const auto start = pending_.size();
            pending_.resize(start + bytes);
            if (::pread(from, pending_.data() + start, bytes, 0) != static_cast<ssize_t>(bytes)) return os_failure("can't read /" + path);
            return pending_.size() >= kBlockBytes ? flush() : Result<>{};
        }
        if (auto flushed = flush(); !flushed) return flushed;
        for (std::uint64_t left = bytes; left > 0;) {
            const auto copied = ::copy_file_range(from, nullptr, file_.get(), nullptr, left, 0);
            if (copied <= 0) return os_failure("can't copy /" + path + " into " + path_);
            left -= static_cast<std::uint64_t>(copied);
        }
        return {};
    }

    Result<> flush() {
        std::size_t done = 0;
        while (done < pending_.size()) {
            const auto written = ::write(file_.get(), pending_.data() + done, pending_.size() - done);
            if (written <= 0) return os_failure("can't write " + path_);
            done += static_cast<std::size_t>(written);
        }
        pending_.clear();
        return {};
    }

  private:
    std::string path_;
    Descriptor file_;
    std::string pending_;
};

Result<> pack_one(int root, PackWriter& pack, const std::string& path, const FileMark& mark) {
    if (S_ISREG(mark.mode)) {
        const Descriptor file(::openat(root, path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (!file) return os_failure("can't open the session's file /" + path);
        if (auto added = pack.add(Kind::present, path, mark, mark.size_bytes); !added) return added;
        return pack.add_file(file.get(), mark.size_bytes, path);
    }
    if (S_ISLNK(mark.mode)) {
        std::array<char, kPathBytes> target{};
        const auto length = ::readlinkat(root, path.c_str(), target.data(), target.size());
        if (length < 0) return os_failure("can't read the session's link /" + path);
        const std::string text(target.data(), static_cast<std::size_t>(length));
        if (auto added = pack.add(Kind::present, path, mark, text.size()); !added) return added;
        return pack.add_text(text);
    }
    return pack.add(Kind::present, path, mark, 0);
}

}  // namespace

Result<TreeMarks> pack_changes(const std::string& root, const TreeMarks& before, const std::string& pack_file) {
    const Descriptor top(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!top) return os_failure("can't open " + root);
    TreeMarks now;
    if (auto collected = collect(::dup(top.get()), "", now); !collected) return tl::unexpected(collected.error());
    PackWriter pack(pack_file);
    if (!pack.open()) return os_failure("can't make " + pack_file);
    const auto kind_of = [](const FileMark& mark) { return mark.mode & S_IFMT; };
    for (auto entry = before.rbegin(); entry != before.rend(); ++entry) {
        const auto still = now.find(entry->first);
        if (still != now.end() && kind_of(still->second) == kind_of(entry->second)) continue;
        if (auto added = pack.add(Kind::gone, entry->first, {}, 0); !added) return tl::unexpected(added.error());
    }
    for (const auto& [path, mark] : now) {
        const auto known = before.find(path);
        if (known != before.end() && known->second == mark) continue;
        if (auto added = pack_one(top.get(), pack, path, mark); !added) return tl::unexpected(added.error());
    }
    if (auto flushed = pack.flush(); !flushed) return tl::unexpected(flushed.error());
    return now;
}

// ---------------------------------------------------------------------------- applying

namespace {

class PackReader {
  public:
    explicit PackReader(const std::string& path) : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

    [[nodiscard]] bool open() const { return static_cast<bool>(file_); }
    [[nodiscard]] tl::unexpected<Error> damaged() const { return failure(ErrorCode::damaged, path_ + " is not a whole pack of files"); }

    /// 0: the end.
    ssize_t read(void* to, std::size_t bytes) {
        std::size_t done = 0;
        while (done < bytes) {
            if (at_ == end_) {
                const auto got = ::read(file_.get(), block_.data(), block_.size());
                if (got <= 0) break;
                at_ = 0;
                end_ = static_cast<std::size_t>(got);
            }
            const auto part = std::min(bytes - done, end_ - at_);
            std::memcpy(static_cast<char*>(to) + done, block_.data() + at_, part);
            at_ += part;
            done += part;
        }
        return static_cast<ssize_t>(done);
    }

  private:
    std::string path_;
    Descriptor file_;
    std::vector<char> block_ = std::vector<char>(kBlockBytes);
    std::size_t at_ = 0;
    std::size_t end_ = 0;
};

// Opens the folder that `path` is in, never leaving the root and never following a link.
Descriptor open_parent(int root, const std::string& path) {
    const auto slash = path.rfind('/');
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
    return Descriptor(static_cast<int>(::syscall(SYS_openat2, root, parent.c_str(), &how, sizeof how)));
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void set_times(int folder, const std::string& name, std::int64_t modified_ns) {
    timespec times[2]{};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = modified_ns / 1'000'000'000;
    times[1].tv_nsec = modified_ns % 1'000'000'000;
    ::utimensat(folder, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

void take_away(int folder, const std::string& name) {
    if (::unlinkat(folder, name.c_str(), 0) != 0 && errno == EISDIR) ::unlinkat(folder, name.c_str(), AT_REMOVEDIR);
}

Result<> write_content(PackReader& pack, int to, std::uint64_t bytes, const std::string& path) {
    std::vector<char> block(std::min<std::uint64_t>(bytes, kBlockBytes));
    for (std::uint64_t left = bytes; left > 0;) {
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
        if (pack.read(block.data(), part) != static_cast<ssize_t>(part)) return pack.damaged();
        for (std::size_t done = 0; done < part;) {
            const auto written = ::write(to, block.data() + done, part - done);
            if (written <= 0) return os_failure("can't write /" + path);
            done += static_cast<std::size_t>(written);
        }
        left -= part;
    }
    return {};
}

Result<> make_one(PackReader& pack, int folder, const std::string& name, const RecordHeader& record, const std::string& path) {
    if (S_ISDIR(record.mode)) {
        if (::mkdirat(folder, name.c_str(), 0700) != 0 && errno != EEXIST) return os_failure("can't make the folder /" + path);
    } else if (S_ISREG(record.mode)) {
        // A new inode: a half-applied pack never shows as an old file with new contents.
        ::unlinkat(folder, name.c_str(), 0);
        const Descriptor file(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!file) return os_failure("can't make the file /" + path);
        if (auto written = write_content(pack, file.get(), record.content_bytes, path); !written) return written;
    } else if (S_ISLNK(record.mode)) {
        if (record.content_bytes > kPathBytes) return pack.damaged();
        std::string target(record.content_bytes, '\0');
        if (pack.read(target.data(), target.size()) != static_cast<ssize_t>(target.size())) return pack.damaged();
        ::unlinkat(folder, name.c_str(), 0);
        if (::symlinkat(target.c_str(), folder, name.c_str()) != 0) return os_failure("can't make the link /" + path);
    } else {
        ::unlinkat(folder, name.c_str(), 0);
        if (::mknodat(folder, name.c_str(), record.mode, record.device) != 0) return os_failure("can't make /" + path);
    }
    if (::fchownat(folder, name.c_str(), record.user, record.group, AT_SYMLINK_NOFOLLOW) != 0) return os_failure("can't give away /" + path);
    if (!S_ISLNK(record.mode) && ::fchmodat(folder, name.c_str(), record.mode & 07777, 0) != 0) return os_failure("can't set the mode of /" + path);
    set_times(folder, name, record.modified_ns);
    return {};
}

}  // namespace

Result<> apply_pack(const std::string& root, const std::string& pack_file) {
    if (::mkdir(root.c_str(), 0755) != 0 && errno != EEXIST) return os_failure("can't make " + root);
    const Descriptor top(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    PackReader pack(pack_file);
    if (!top || !pack.open()) return os_failure("can't open " + root + " or " + pack_file);
    std::vector<std::pair<std::string, std::int64_t>> folder_times;
    for (;;) {
        RecordHeader record;
        const auto got = pack.read(&record, sizeof record);
        if (got == 0) break;
        if (got != static_cast<ssize_t>(sizeof record) || record.magic != kMagic || record.path_bytes == 0 ||
            record.path_bytes > kPathBytes) {
            return pack.damaged();
        }
        std::string path(record.path_bytes, '\0');
        if (pack.read(path.data(), path.size()) != static_cast<ssize_t>(path.size())) return pack.damaged();
        const std::string name = last_part(path);
        if (name.empty() || name == "." || name == "..") return pack.damaged();
        const Descriptor folder = open_parent(top.get(), path);
        if (!folder) {
            if (record.kind == Kind::gone) continue;
            return os_failure("can't reach /" + path);
        }
        if (record.kind == Kind::gone) {
            take_away(folder.get(), name);
            continue;
        }
        if (auto made = make_one(pack, folder.get(), name, record, path); !made) return made;
        if (S_ISDIR(record.mode)) folder_times.emplace_back(path, record.modified_ns);
    }
    for (auto entry = folder_times.rbegin(); entry != folder_times.rend(); ++entry) {
        if (const Descriptor folder = open_parent(top.get(), entry->first)) set_times(folder.get(), last_part(entry->first), entry->second);
    }
    return {};
}

}  // namespace understudy::node
