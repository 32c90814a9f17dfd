// The power button that the hypervisor presses, and the ways to end a guest. No thread of its own.
#pragma once

#include <vector>

#include "kernel_line.hpp"

namespace understudy::guest {

enum class Ending { kPowerOff, kRestart };

/// Watches the input devices that can report the power button.
class PowerButton {
 public:
  PowerButton() = default;
  ~PowerButton();
  PowerButton(const PowerButton&) = delete;
  PowerButton& operator=(const PowerButton&) = delete;

  /// Opens the devices that exist by now. Called once their drivers are loaded.
  void open_devices();
  /// Descriptors to wait on.
  [[nodiscard]] const std::vector<int>& descriptors() const { return devices_; }
  /// Reads what is there; true when the button was pressed.
  [[nodiscard]] bool was_pressed();

 private:
  std::vector<int> devices_;
};

/// Ends the machine. Never returns. Where the machine has no ACPI it can't switch itself off, so it
/// restarts instead, which the hypervisor is told to treat as off.
[[noreturn]] void end_machine(Ending ending, const KernelLine& line);

}  // namespace understudy::guest
