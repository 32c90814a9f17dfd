// Standard input and output as lines, without ever blocking the window. Owned by the window's thread.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::window {

/// Cuts what arrives on a file descriptor into lines.
class LineReader {
public:
    explicit LineReader(int fd) : fd_(fd) {}
    /// Reads what is there (call when readable). A line that is too long comes out as an error in its place.
    [[nodiscard]] std::vector<Result<std::string>> read_lines();
    /// True after the end of the input.
    [[nodiscard]] bool is_at_end() const { return is_at_end_; }

private:
    int fd_;
    std::string partial_;
    bool is_skipping_ = false;  ///< inside a line that is too long
    bool is_at_end_ = false;
};

/// Writes lines when there is room for them; keeps a bounded number until then, the newest.
class LineWriter {
public:
    explicit LineWriter(int fd) : fd_(fd) {}
    /// `line` ends with a newline and has at most PIPE_BUF bytes.
    void write(std::string line);
    /// Writes what fits now (call when writable).
    void flush();
    [[nodiscard]] bool wants_room() const { return !waiting_.empty(); }
    [[nodiscard]] int fd() const { return fd_; }

private:
    int fd_;
    std::deque<std::string> waiting_;
};

}  // namespace understudy::window
