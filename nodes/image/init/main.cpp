// understudy-init: process 1 of a guest. It starts in the initramfs, loads the few drivers a virtual
// machine needs, moves to the root disk and keeps the agent running. One thread; slow drivers are
// loaded by a process aside.
//
// Kernel command line: root=/dev/vda rootfstype=ext4 understudy.programs=/dev/vdb
// understudy.seed=/dev/vdc, and those of network.hpp.
#include <csignal>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.hpp"
#include "kernel_line.hpp"
#include "modules.hpp"
#include "mounts.hpp"
#include "network.hpp"
#include "power.hpp"
#include "supervisor.hpp"

namespace {

using namespace understudy::guest;

constexpr const char* kConfig = "/run/understudy/agent.toml";

// The initramfs stays in memory behind the root disk; its modules are of no use once they are loaded.
void empty_initramfs(int initramfs) {
  const int copy = ::dup(initramfs);
  DIR* directory = ::fdopendir(copy);
  if (directory == nullptr) {
    ::close(copy);
    return;
  }
  while (const struct dirent* entry = ::readdir(directory)) ::unlinkat(initramfs, entry->d_name, 0);
  ::closedir(directory);
}

int load_late_modules(int initramfs) {
  const auto loaded = load_modules(initramfs, "modules.late");
  empty_initramfs(initramfs);
  return loaded ? 0 : 1;
}

// A step without which the agent may still be useful, or at least report: said, not fatal.
void note(Console& console, const Outcome& outcome) {
  if (!outcome) console.say(outcome.error());
}

// Without the root disk there is nothing to run. The machine ends, which the manager sees at once.
[[noreturn]] void give_up(Console& console, const std::string& why, const KernelLine& line) {
  console.open_ports();
  console.say("can't start: " + why);
  end_machine(Ending::kPowerOff, line);
}

}  // namespace

int main() {
  if (::getpid() != 1) {
    ::dprintf(STDERR_FILENO, "understudy-init is process 1 of a guest and starts nowhere else\n");
    return 2;
  }
  ::umask(022);
  Console console;
  const auto kernel_trees = mount_kernel_trees();
  const auto line = KernelLine::of_this_boot();
  if (!kernel_trees) give_up(console, kernel_trees.error(), line);
  const int initramfs = ::open("/modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (initramfs < 0) give_up(console, "the initramfs has no /modules", line);
  console.open_ports();

  Supervisor supervisor(console, {"/opt/understudy/bin/understudy-agent", "--config", kConfig});
  note(console, supervisor.prepare());
  ::reboot(RB_DISABLE_CAD);
  note(console, load_modules(initramfs, "modules.root"));
  if (const auto entered = enter_root_disk(line); !entered) give_up(console, entered.error(), line);
  note(console, mount_runtime_trees());
  note(console, load_modules(initramfs, "modules.agent"));
  note(console, configure_network(line));
  note(console, mount_programs(line.value("understudy.programs", "/dev/vdb")));
  note(console, copy_seed(line.value("understudy.seed", "/dev/vdc"), kConfig));
  supervisor.run_aside(load_late_modules, initramfs);
  note(console, grow_root(line));

  const Ending ending = supervisor.run();
  leave_file_systems();
  console.say("every process has ended; good bye");
  end_machine(ending, line);
}
