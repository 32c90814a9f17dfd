// Loads the kernel modules of the initramfs. No thread of its own.
#include "modules.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace understudy::guest {

namespace {

tl::expected<std::string, std::string> read_small_file(int directory, const std::string& name) {
  const int file = ::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return system_error("open " + name);
  std::string text;
  char part[4096];
  for (ssize_t got = 0; (got = ::read(file, part, sizeof part)) > 0;) {
    text.append(part, static_cast<std::size_t>(got));
  }
  ::close(file);
  return text;
}

Outcome load_one(int initramfs, const std::string& name) {
  const int file = ::openat(initramfs, name.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return system_error("open module " + name);
  const long result = ::syscall(SYS_finit_module, file, "", 0);
  if (result != 0 && errno != EEXIST) {
    auto failure = system_error("load module " + name);
    ::close(file);
    return failure;
  }
  ::close(file);
  return {};
}

}  // namespace

Outcome load_modules(int initramfs, const std::string& list) {
  const auto names = read_small_file(initramfs, list);
  if (!names) return tl::make_unexpected(names.error());
  Outcome first_failure;
  for (std::size_t begin = 0; begin < names->size();) {
    auto end = names->find('\n', begin);
    if (end == std::string::npos) end = names->size();
    if (end > begin) {
      auto loaded = load_one(initramfs, names->substr(begin, end - begin));
      if (!loaded && first_failure) first_failure = loaded;
    }
    begin = end + 1;
  }
  return first_failure;
}

}  // namespace understudy::guest
