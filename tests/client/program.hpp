// One of our programs as a child process, its output read line by line. Used by the test's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace understudy::test {

/// A folder that is gone after the test.
class TemporaryFolder {
public:
    TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder();

    [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
    /// Writes a file and returns its path.
    std::string write(const std::string& name, const std::string& text) const;

private:
    std::string folder_;
};

class Program {
public:
    /// `command[0]` is the path of the program.
    explicit Program(const std::vector<std::string>& command);
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program();

    void say(const std::string& line);
    void end_input();
    void interrupt();

    /// Takes in what there is, without waiting.
    void step();

    /// The next whole line of standard output, if there is one.
    [[nodiscard]] std::optional<std::string> line();

    /// True once it has ended; then exit_code() and all of output() are known.
    [[nodiscard]] bool ended();
    [[nodiscard]] int exit_code() const { return exit_code_; }
    [[nodiscard]] const std::string& output() const { return output_; }
    [[nodiscard]] const std::string& problems() const { return problems_; }

private:
    pid_t pid_ = -1;
    int input_ = -1;
    int out_ = -1;
    int err_ = -1;
    std::string output_;
    std::size_t taken_ = 0;
    std::string problems_;
    bool ended_ = false;
    int exit_code_ = -1;
};

}  // namespace understudy::test
