// A directory that is gone when the test ends. Short, because Unix sockets are made below it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace understudy::test {

class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string name = "/tmp/usXXXXXX";
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace understudy::test
