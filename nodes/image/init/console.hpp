// Where the guest's words go: the serial port and, where there is one, the virtio console.
// Used by the one thread of process 1.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace understudy::guest {

class Console {
 public:
  Console() = default;
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Opens the ports that exist by now and are not open yet. Called again once late drivers are loaded.
  void open_ports();

  /// Writes a line of process 1 itself, with the seconds since the machine was started.
  void say(std::string_view line);

  /// Passes on what a supervised process wrote, as it is. A port that is full loses the text: a slow
  /// reader on the host must never stop the node.
  void pass_on(std::string_view text);

 private:
  struct Port {
    const char* path;
    int descriptor;
  };
  std::vector<Port> ports_{{"/dev/ttyS0", -1}, {"/dev/hvc0", -1}};
};

}  // namespace understudy::guest
