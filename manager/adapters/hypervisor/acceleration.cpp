// See acceleration.hpp.
#include "manager/adapters/hypervisor/acceleration.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

#include <sys/utsname.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/run_program.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kDevice = "/dev/kvm";
constexpr const char* kQemu = "qemu-system-x86_64";
constexpr std::chrono::seconds kBootPatience{10};
/// Our process 1 says this when it finds no root disk: user space was reached.
constexpr const char* kSignOfLife = "can't start:";

/// Changes when anything the verdict depends on changes.
std::string circumstances(const std::string& kernel) {
    utsname system{};
    ::uname(&system);
    const auto version = run_program({kQemu, "--version"}, std::chrono::seconds(5));
    return std::string(system.release) + " " + system.version + " | " +
           (version ? version->substr(0, version->find('\n')) : std::string("no QEMU")) + " | " + kernel;
}

AccelerationVerdict try_kvm(const std::string& kernel, const std::string& initrd) {
    const auto began = std::chrono::steady_clock::now();
    const auto heard = listen_to_program(
        {kQemu, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "pc,accel=kvm", "-cpu", "host",
         "-m", "256", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 root=/dev/null", "-serial", "stdio"},
        kBootPatience, kSignOfLife);
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    if (!heard) return {"tcg", "KVM could not be tried: " + heard.error().message};
    if (heard->text.find(kSignOfLife) != std::string::npos) {
        return {"kvm", "proven: a guest reached user space under KVM in " + std::to_string(took) + " ms"};
    }
    if (!heard->ended) {
        return {"tcg", "KVM is offered but does not work: a tiny guest said nothing within " +
                           std::to_string(kBootPatience.count()) + " s; software emulation is used"};
    }
    std::string words = heard->text.substr(0, 200);
    std::replace(words.begin(), words.end(), '\n', ' ');
    return {"tcg", "KVM is offered but does not work: " + words + "; software emulation is used"};
}

}  // namespace

AccelerationVerdict judge_acceleration(const InstanceFiles& files, const std::string& cache_file) {
    if (files.options().acceleration == Acceleration::kvm) return {"kvm", "set in the configuration, not proven"};
    if (files.options().acceleration == Acceleration::tcg) return {"tcg", "set in the configuration"};
    if (::access(kDevice, R_OK | W_OK) != 0) {
        return {"tcg", std::string("there is no usable ") + kDevice + "; software emulation is used"};
    }
    const auto kernel = files.image().file("vmlinuz");
    const auto initrd = files.image().file("initramfs.img");
    if (!kernel || !initrd) return {"tcg", "KVM was not tried: there is no guest image yet"};
    const std::string now = circumstances(*kernel);
    if (const auto cached = read_file(cache_file)) {
        const toml::parse_result table = [&] {
            try {
                return toml::parse(*cached);
            } catch (const toml::parse_error&) {
                return toml::table{};  // tried again
            }
        }();
        const std::string acceleration = table["acceleration"].value_or(std::string());
        if (table["circumstances"].value_or(std::string()) == now && (acceleration == "kvm" || acceleration == "tcg")) {
            return {acceleration, table["reason"].value_or(std::string()) + " (found out earlier)"};
        }
    }
    const AccelerationVerdict verdict = try_kvm(*kernel, *initrd);
    std::ostringstream text;
    text << toml::table{{"acceleration", verdict.acceleration}, {"reason", verdict.reason}, {"circumstances", now}} << "\n";
    static_cast<void>(write_file(cache_file, text.str()));  // without it the next start tries again
    return verdict;
}

}  // namespace understudy::manager
