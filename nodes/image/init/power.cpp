// The power button and the ways to end a guest. No thread of its own.
#include "power.hpp"

#include <string>

#include <fcntl.h>
#include <linux/input.h>
#include <linux/reboot.h>
#include <sys/reboot.h>
#include <unistd.h>

namespace understudy::guest {

namespace {

constexpr int kInputDevicesLimit = 8;

bool has_power_key(int device) {
  unsigned char keys[KEY_MAX / 8 + 1] = {};
  if (::ioctl(device, EVIOCGBIT(EV_KEY, sizeof keys), keys) < 0) return false;
  return ((keys[KEY_POWER / 8] >> (KEY_POWER % 8)) & 1U) != 0;
}

}  // namespace

PowerButton::~PowerButton() {
  for (const int device : devices_) ::close(device);
}

void PowerButton::open_devices() {
  if (!devices_.empty()) return;
  for (int number = 0; number < kInputDevicesLimit; ++number) {
    const std::string path = "/dev/input/event" + std::to_string(number);
    const int device = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) continue;
    if (has_power_key(device)) {
      devices_.push_back(device);
    } else {
      ::close(device);
    }
  }
}

bool PowerButton::was_pressed() {
  bool pressed = false;
  for (const int device : devices_) {
    struct input_event event {};
    while (::read(device, &event, sizeof event) == static_cast<ssize_t>(sizeof event)) {
      pressed = pressed || (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1);
    }
  }
  return pressed;
}

void end_machine(Ending ending, const KernelLine& line) {
  const bool can_switch_off = line.value("acpi", "on") != "off";
  if (ending == Ending::kPowerOff && can_switch_off) ::reboot(RB_POWER_OFF);
  ::reboot(RB_AUTOBOOT);
  for (;;) ::pause();
}

}  // namespace understudy::guest
