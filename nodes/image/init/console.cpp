// Where the guest's words go. Used by the one thread of process 1.
#include "console.hpp"

#include <cstdio>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

namespace understudy::guest {

namespace {

// Long enough for a serial port to send what its buffer holds, short enough not to be felt.
constexpr int kPortPatienceMs = 50;

}  // namespace

Console::~Console() {
  for (const Port& port : ports_) {
    if (port.descriptor >= 0) ::close(port.descriptor);
  }
}

void Console::open_ports() {
  for (Port& port : ports_) {
    if (port.descriptor >= 0) continue;
    const int descriptor = ::open(port.path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) continue;
    // A device node of a serial port exists even without the port behind it.
    struct termios settings {};
    if (::tcgetattr(descriptor, &settings) != 0) {
      ::close(descriptor);
      continue;
    }
    port.descriptor = descriptor;
  }
}

void Console::say(std::string_view line) {
  struct timespec now {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  char stamp[48];
  std::snprintf(stamp, sizeof stamp, "[%5ld.%03ld] understudy-init: ", static_cast<long>(now.tv_sec),
                now.tv_nsec / 1'000'000);
  pass_on(std::string(stamp) + std::string(line) + "\n");
}

void Console::pass_on(std::string_view text) {
  for (const Port& port : ports_) {
    if (port.descriptor < 0) continue;
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t written = ::write(port.descriptor, rest.data(), rest.size());
      if (written > 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
        continue;
      }
      struct pollfd wait {port.descriptor, POLLOUT, 0};
      if (::poll(&wait, 1, kPortPatienceMs) <= 0) break;
    }
  }
}

}  // namespace understudy::guest
