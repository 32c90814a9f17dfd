// See libvirt_library.hpp.
#include "manager/adapters/hypervisor/libvirt_library.hpp"

#include <cassert>
#include <cstdlib>

#include <libvirt/virterror.h>

#include "manager/adapters/system/signals.hpp"

namespace understudy::manager {
namespace {

/// Wakes the event loop so often, that it notices its end.
constexpr int kTickMs = 200;

void say_nothing(void*, virErrorPtr) {}

}  // namespace

LibvirtLibrary::LibvirtLibrary() {
    // What matters is reported where it happens; its own log repeats it, and much that is no error for us.
    // Whoever wants to see it sets the variable.
    ::setenv("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null", 0);
    virSetErrorFunc(nullptr, say_nothing);
    const int ready = virInitialize();
    assert(ready == 0);
    const int registered = virEventRegisterDefaultImpl();
    assert(registered == 0);
    static_cast<void>(ready);
    static_cast<void>(registered);
    ticker_ = virEventAddTimeout(kTickMs, [](int, void*) {}, nullptr, nullptr);
    thread_ = start_thread([this] {
        while (!stopping_) virEventRunDefaultImpl();
    });
}

LibvirtLibrary::~LibvirtLibrary() {
    stopping_ = true;
    virEventUpdateTimeout(ticker_, 0);
    thread_.join();
    virEventRemoveTimeout(ticker_);
}

std::string libvirt_words() {
    const char* words = virGetLastErrorMessage();
    return words == nullptr ? "no reason given" : words;
}

int libvirt_code() { return virGetLastErrorCode(); }

std::string take_text(char* text) {
    const std::string copy = text == nullptr ? "" : text;
    std::free(text);
    return copy;
}

}  // namespace understudy::manager
