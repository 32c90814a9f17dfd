// The mounts of a session. Programs and settings of the guest are bound read-only, everything that can
// be written is an ordinary folder of the session's own tree: so a checkpoint's files are that tree and
// nothing else, and a restored process finds the same mounts on any node.
#include "enter.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace understudy::session {
namespace {

std::string problem(const std::string& what) { return what + ": " + std::strerror(errno); }

std::string bind_read_only(const std::string& from, const std::string& to) {
    if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) return problem("bind " + from);
    if (::mount(nullptr, to.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NODEV, nullptr) != 0) {
        return problem("make " + from + " read-only");
    }
    return {};
}

}  // namespace

std::string enter_session(const Options& options) {
    const std::string& root = options.root;
    ::setsid();  // a session leader outside of the PID namespace can't be checkpointed; fails when we are one
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return problem("make the mounts private");
    if (::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) != 0) return problem("bind " + root);
    for (const char* folder : {"/usr", "/etc", "/var"}) {
        if (auto wrong = bind_read_only(folder, root + folder); !wrong.empty()) return wrong;
    }
    if (!options.environment.empty()) {
        if (auto wrong = bind_read_only(options.environment, root + "/opt/environment"); !wrong.empty()) return wrong;
    }
    if (::mount("proc", (root + "/proc").c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return problem("mount /proc");
    if (::mount("devpts", (root + "/dev/pts").c_str(), "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,gid=5,mode=620,ptmxmode=666") != 0) {
        return problem("mount /dev/pts");
    }
    if (::chdir(root.c_str()) != 0) return problem("enter " + root);
    // The old root ends up stacked on the new one and is taken away from there.
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return problem("change the root");
    if (::umount2(".", MNT_DETACH) != 0) return problem("leave the guest's mounts");
    if (::chdir("/") != 0) return problem("enter /");
    ::sethostname(options.host_name.c_str(), options.host_name.size());
    return {};
}

std::string prepare_restore(const std::string& root) {
    if (::unshare(CLONE_NEWNS) != 0) return problem("make a mount namespace");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return problem("make the mounts private");
    if (::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) != 0) return problem("bind " + root);
    return {};
}

}  // namespace understudy::session
