// The kernel command line as a table of values. Plain values, no thread.
#include "kernel_line.hpp"

#include <fstream>
#include <iterator>

namespace understudy::guest {

KernelLine::KernelLine(std::string_view text) {
  std::string word;
  bool quoted = false;
  const auto finish_word = [&] {
    if (word.empty()) return;
    const auto equals = word.find('=');
    values_[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
    word.clear();
  };
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\n')) {
      finish_word();
    } else {
      word += c;
    }
  }
  finish_word();
}

KernelLine KernelLine::of_this_boot() {
  std::ifstream file("/proc/cmdline");
  return KernelLine(std::string(std::istreambuf_iterator<char>(file), {}));
}

std::string KernelLine::value(const std::string& key, std::string_view otherwise) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string(otherwise) : found->second;
}

}  // namespace understudy::guest
