// See wakeup.hpp.
#include "client/terminal/wakeup.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <csignal>

namespace understudy::terminal {
namespace {

sigset_t ending_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
    return set;
}

void watch(int epoll, int descriptor) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // told once per write, so that nobody has to say that it was read
    event.data.fd = descriptor;
    const int added = epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
    assert(added == 0);
    static_cast<void>(added);
}

}  // namespace

void Wakeup::block_signals() {
    const sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

Wakeup::Wakeup(const std::vector<int>& descriptors)
    : event_(SDL_RegisterEvents(1)), epoll_(epoll_create1(EPOLL_CLOEXEC)), stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    const sigset_t set = ending_signals();
    signals_ = viewer::OwnedFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    assert(epoll_.get() >= 0 && stop_.get() >= 0 && signals_.get() >= 0 && "out of file descriptors");
    for (const int descriptor : descriptors) watch(epoll_.get(), descriptor);
    watch(epoll_.get(), signals_.get());
    watch(epoll_.get(), stop_.get());
    thread_ = std::thread([this] { run(); });
}

Wakeup::~Wakeup() {
    const std::uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof one);
    thread_.join();
}

void Wakeup::run() {
    std::array<epoll_event, 8> ready{};
    while (true) {
        const int count = epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int descriptor = ready[static_cast<std::size_t>(i)].data.fd;
            if (descriptor == stop_.get()) return;
            SDL_Event event{};
            event.user.type = event_;
            event.user.code = descriptor == signals_.get() ? kSignal : kReadable;
            SDL_PushEvent(&event);
        }
    }
}

}  // namespace understudy::terminal
