// Aligned tables for people at a terminal. Plain values; any thread.
#pragma once

#include <string>
#include <vector>

namespace understudy::client {

enum class Align { left, right };

struct Column {
    std::string title;
    Align align = Align::left;
};

class Table {
public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// Precondition: as many cells as columns. An empty cell is shown as "-".
    void add(std::vector<std::string> cells);

    /// Lines that end in a line break, without spaces at their ends. Columns are two spaces apart.
    /// Line breaks and control characters in cells are shown as spaces: a cell cannot forge a row.
    [[nodiscard]] std::string text() const;

    [[nodiscard]] bool empty() const { return rows_.empty(); }

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// Without control characters: text that came over a network must not steer somebody's terminal.
[[nodiscard]] std::string printable(std::string text);

}  // namespace understudy::client
