// The file systems of a guest: from the initramfs to a complete tree. No thread of its own.
#include "mounts.hpp"

#include <algorithm>
#include <cstdint>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

namespace understudy::guest {

namespace {

constexpr int kDiskPatienceMs = 10'000;
constexpr std::size_t kSeedLimitBytes = 256 * 1024;
// Of <linux/ext4.h>, which user space is not given.
constexpr unsigned long kExt4ResizeFs = _IOW('f', 16, std::uint64_t);

Outcome mount_at(const char* source, const char* target, const char* type, unsigned long flags,
                 const char* options = nullptr) {
  ::mkdir(target, 0755);
  if (::mount(source, target, type, flags, options) != 0 && errno != EBUSY) {
    return system_error(std::string("mount ") + source + " at " + target);
  }
  return {};
}

bool wait_for_disk(const std::string& disk) {
  const struct timespec pause {0, 2'000'000};
  for (int waited_ms = 0; waited_ms < kDiskPatienceMs; waited_ms += 2) {
    if (::access(disk.c_str(), F_OK) == 0) return true;
    ::nanosleep(&pause, nullptr);
  }
  return false;
}

}  // namespace

Outcome mount_kernel_trees() {
  constexpr unsigned long kTight = MS_NOSUID | MS_NOEXEC | MS_NODEV;
  return mount_at("proc", "/proc", "proc", kTight)
      .and_then([] { return mount_at("sysfs", "/sys", "sysfs", kTight); })
      .and_then([] { return mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755"); });
}

Outcome enter_root_disk(const KernelLine& line) {
  const std::string disk = line.value("root", "/dev/vda");
  const std::string type = line.value("rootfstype", "ext4");
  if (!wait_for_disk(disk)) {
    return tl::make_unexpected("root disk " + disk + " did not appear; is it the first virtio disk?");
  }
  auto mounted = mount_at(disk.c_str(), "/newroot", type.c_str(), MS_NOATIME);
  if (!mounted) return mounted;
  for (const char* tree : {"/proc", "/sys", "/dev"}) {
    const std::string target = std::string("/newroot") + tree;
    if (::mount(tree, target.c_str(), nullptr, MS_MOVE, nullptr) != 0) {
      return system_error("move " + std::string(tree) + " into the root disk");
    }
  }
  if (::chdir("/newroot") != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || ::chroot(".") != 0 ||
      ::chdir("/") != 0) {
    return system_error("change to the root disk");
  }
  return {};
}

Outcome grow_root(const KernelLine& line) {
  struct statfs system {};
  if (::statfs("/", &system) != 0) return system_error("look at the root file system");
  const std::string path = line.value("root", "/dev/vda");
  const int disk = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (disk < 0) return system_error("open the root disk " + path);
  std::uint64_t bytes = 0;
  const int asked = ::ioctl(disk, BLKGETSIZE64, &bytes);
  ::close(disk);
  if (asked != 0) return system_error("ask the size of the root disk");

  const auto block_bytes = static_cast<std::uint64_t>(system.f_bsize);
  std::uint64_t blocks = bytes / block_bytes;
  // statfs leaves out the file system's own tables, about a fiftieth; only a clearly larger disk is worth
  // the call.
  const auto known_blocks = static_cast<std::uint64_t>(system.f_blocks);
  if (blocks <= known_blocks + known_blocks / 10) return {};
  const int top = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) return system_error("open /");
  const int grown = ::ioctl(top, kExt4ResizeFs, &blocks);
  auto failure = system_error("grow the root file system to " + std::to_string(bytes >> 20U) + " MiB");
  ::close(top);
  if (grown != 0) return failure;
  return {};
}

Outcome mount_runtime_trees() {
  constexpr unsigned long kTight = MS_NOSUID | MS_NOEXEC | MS_NODEV;
  return mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=20%")
      .and_then([] { return mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=25%"); })
      .and_then([] { return mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"); })
      .and_then([] { return mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=50%"); })
      .and_then([] { return mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", kTight, "nsdelegate"); })
      .and_then([]() -> Outcome {
        // Overlays, namespaces and checkpoints want a tree whose mounts do not spread.
        if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
          return system_error("make the mounts private");
        }
        ::mkdir("/run/lock", 01777);
        ::mkdir("/run/understudy", 0755);
        return {};
      });
}

Outcome mount_programs(const std::string& disk) {
  if (::access(disk.c_str(), F_OK) != 0) {
    return tl::make_unexpected("no disk " + disk + " with the programs; attach the image that pack-agent makes");
  }
  return mount_at(disk.c_str(), "/opt/understudy", "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME);
}

Outcome copy_seed(const std::string& disk, const std::string& file) {
  const int from = ::open(disk.c_str(), O_RDONLY | O_CLOEXEC);
  if (from < 0) return system_error("open the seed disk " + disk);
  std::string seed(kSeedLimitBytes, '\0');
  std::size_t length = 0;
  for (ssize_t got = 0;
       length < seed.size() && (got = ::read(from, seed.data() + length, seed.size() - length)) > 0;) {
    length += static_cast<std::size_t>(got);
  }
  ::close(from);
  seed.resize(length);
  seed.resize(std::min(seed.find('\0'), seed.size()));
  if (seed.empty()) return tl::make_unexpected("the seed disk " + disk + " is empty");
  if (seed.size() == kSeedLimitBytes) {
    return tl::make_unexpected("the seed on " + disk + " is longer than 256 KiB or not padded with NUL");
  }

  const std::string half_made = file + ".new";
  const int to = ::open(half_made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (to < 0) return system_error("create " + half_made);
  const bool whole = ::write(to, seed.data(), seed.size()) == static_cast<ssize_t>(seed.size());
  ::close(to);
  if (!whole || ::rename(half_made.c_str(), file.c_str()) != 0) return system_error("write " + file);
  return {};
}

void leave_file_systems() {
  ::sync();
  ::umount2("/opt/understudy", MNT_DETACH);
  ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
  ::sync();
}

}  // namespace understudy::guest
