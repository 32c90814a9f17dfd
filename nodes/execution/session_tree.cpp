// See session_tree.hpp.
#include "nodes/execution/session_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include "nodes/execution/os_failure.hpp"


namespace understudy::node {
namespace {

namespace fs = std::filesystem;

// Main windows fill the session's screen, which is the window the person sees; dialogs keep their frames.
constexpr const char* kWindowManagerSettings = R"(<?xml version="1.0" encoding="UTF-8"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>yes</focusNew><followMouse>no</followMouse></focus>
  <placement><policy>Smart</policy><center>yes</center></placement>
  <theme><name>Clearlooks</name><titleLayout>LC</titleLayout><animateIconify>no</animateIconify></theme>
  <desktops><number>1</number><popupTime>0</popupTime></desktops>
  <resize><drawContents>yes</drawContents><popupShow>Never</popupShow></resize>
  <applications>
    <application type="normal"><decor>no</decor><maximized>yes</maximized><focus>yes</focus></application>
    <application type="dialog"><decor>yes</decor><maximized>no</maximized><position force="no"><x>center</x><y>center</y></position></application>
  </applications>
  <mouse>
    <context name="Client"><mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind></context>
    <context name="Titlebar">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Left" action="Drag"><action name="Move"/></mousebind>
    </context>
    <context name="Close"><mousebind button="Left" action="Click"><action name="Close"/></mousebind></context>
  </mouse>
</openbox_config>
)";

struct Device {
    const char* name;
    unsigned major;
    unsigned minor;
};
constexpr std::array kDevices{Device{"null", 1, 3}, Device{"zero", 1, 5}, Device{"full", 1, 7},
                              Device{"random", 1, 8}, Device{"urandom", 1, 9}, Device{"tty", 5, 0}};

tl::unexpected<Error> not_made(const std::string& what) { return os_failure("can't make the session's files: " + what); }

bool make_folder(const std::string& path, mode_t mode, const Account* owner) {
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return false;
    if (owner != nullptr && ::chown(path.c_str(), owner->user, owner->group) != 0) return false;
    return ::chmod(path.c_str(), mode) == 0;
}

Result<> make_folders(const std::string& root, const Account& account) {
    for (const char* name : {"", "/usr", "/etc", "/var", "/proc", "/sys", "/root", "/dev", "/dev/pts", "/run", "/run/user", "/home",
                             "/opt", "/opt/environment", "/.understudy"}) {
        if (!make_folder(root + name, 0755, nullptr)) return not_made(root + name);
    }
    for (const char* name : {"/tmp", "/tmp/.X11-unix", "/tmp/.ICE-unix", "/dev/shm"}) {
        if (!make_folder(root + name, 01777, nullptr)) return not_made(root + name);
    }
    if (!make_folder(root + "/run/understudy", 0755, &account)) return not_made(root + "/run/understudy");
    if (!make_folder(root + "/run/user/" + std::to_string(account.user), 0700, &account)) return not_made(root + "/run/user");
    std::error_code wrong;
    fs::create_directories(root + account.home, wrong);
    if (!make_folder(root + account.home, 0755, &account)) return not_made(root + account.home);
    return {};
}

Result<> make_devices(const std::string& root) {
    for (const auto& device : kDevices) {
        const std::string path = root + "/dev/" + device.name;
        if (::mknod(path.c_str(), S_IFCHR | 0666, makedev(device.major, device.minor)) != 0) return not_made(path);
        ::chmod(path.c_str(), 0666);
    }
    const std::array<std::pair<const char*, const char*>, 4> links{
        {{"pts/ptmx", "/dev/ptmx"}, {"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"}}};
    for (const auto& [target, name] : links) {
        if (::symlink(target, (root + name).c_str()) != 0) return not_made(root + name);
    }
    return {};
}

// The home of the account in the image is what a person finds on the first day.
Result<> fill_home(const std::string& root, const Account& account) {
    std::error_code wrong;
    const std::string home = root + account.home;
    for (const auto& entry : fs::recursive_directory_iterator(account.home, wrong)) {
        const std::string to = home + "/" + fs::relative(entry.path(), account.home, wrong).string();
        if (entry.is_symlink(wrong)) {
            fs::copy_symlink(entry.path(), to, wrong);
        } else if (entry.is_directory(wrong)) {
            ::mkdir(to.c_str(), 0755);
        } else if (entry.is_regular_file(wrong)) {
            fs::copy_file(entry.path(), to, wrong);
            if (wrong) return failure(ErrorCode::failed, "can't fill the home folder: " + to + ": " + wrong.message());
        }
        [[maybe_unused]] const int owned = ::lchown(to.c_str(), account.user, account.group);
    }
    return {};
}

}  // namespace

Result<> make_session_tree(const std::string& root, const Account& account, const std::string& init_program) {
    if (auto made = make_folders(root, account); !made) return made;
    if (auto made = make_devices(root); !made) return made;
    for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
        struct stat info{};
        if (::lstat((std::string("/") + name).c_str(), &info) != 0) continue;
        if (::symlink((std::string("usr/") + name).c_str(), (root + "/" + name).c_str()) != 0) return not_made(root + "/" + name);
    }
    std::error_code wrong;
    fs::copy_file(init_program, root + "/.understudy/init", wrong);
    if (wrong) return failure(ErrorCode::failed, "can't copy " + init_program + " into the session: " + wrong.message());
    ::chmod((root + "/.understudy/init").c_str(), 0755);
    std::ofstream(root + "/.understudy/openbox.xml") << kWindowManagerSettings;
    if (fs::exists("/run/understudy/resolv.conf", wrong)) {
        fs::copy_file("/run/understudy/resolv.conf", root + "/run/understudy/resolv.conf", wrong);
    }
    return fill_home(root, account);
}

void remove_tree(const std::string& path) {
    std::error_code wrong;
    fs::remove_all(path, wrong);
}

}  // namespace understudy::node
