// The kernel command line as a table of values. Plain values, no thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace understudy::guest {

class KernelLine {
 public:
  /// Parses a command line the way the kernel does: words parted by blanks, `key=value`, double
  /// quotes keep blanks together. The last of several equal keys wins.
  explicit KernelLine(std::string_view text);

  /// Reads /proc/cmdline; an unreadable file gives an empty table, so that every value is the default.
  [[nodiscard]] static KernelLine of_this_boot();

  /// The value of `key`, or `otherwise` when it is not given.
  [[nodiscard]] std::string value(const std::string& key, std::string_view otherwise) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace understudy::guest
