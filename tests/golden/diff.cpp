// See diff.hpp. Method: longest common subsequence between the parts that differ.
#include "tests/golden/diff.hpp"

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <vector>

namespace understudy::golden {
namespace {

constexpr std::size_t kContext = 3;

struct Line {
    char mark;
    std::string text;
    std::size_t number;  ///< in the first text (1-based)
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::vector<Line> align(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    std::size_t head = 0;
    while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
    std::size_t tail = 0;
    while (tail < a.size() - head && tail < b.size() - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
    const std::size_t n = a.size() - head - tail;
    const std::size_t m = b.size() - head - tail;
    std::vector<std::vector<std::uint32_t>> common(n + 1, std::vector<std::uint32_t>(m + 1, 0));
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t j = m; j-- > 0;) {
            common[i][j] = a[head + i] == b[head + j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
        }
    }
    std::vector<Line> lines;
    for (std::size_t i = 0; i < head; ++i) lines.push_back({' ', a[i], i + 1});
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < n || j < m) {
        if (i < n && j < m && a[head + i] == b[head + j]) {
            lines.push_back({' ', a[head + i], head + i + 1});
            ++i, ++j;
        } else if (i < n && (j == m || common[i + 1][j] >= common[i][j + 1])) {
            lines.push_back({'-', a[head + i], head + i + 1});
            ++i;
        } else {
            lines.push_back({'+', b[head + j], head + i + 1});
            ++j;
        }
    }
    for (std::size_t k = a.size() - tail; k < a.size(); ++k) lines.push_back({' ', a[k], k + 1});
    return lines;
}

}  // namespace

std::string difference(const std::string& before, const std::string& after) {
    if (before == after) return {};
    const std::vector<Line> lines = align(lines_of(before), lines_of(after));
    std::vector<bool> shown(lines.size(), false);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].mark == ' ') continue;
        const std::size_t first = i >= kContext ? i - kContext : 0;
        for (std::size_t k = first; k < std::min(i + kContext + 1, lines.size()); ++k) shown[k] = true;
    }
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (!shown[i]) continue;
        if (i == 0 || !shown[i - 1]) text += "@@ line " + std::to_string(lines[i].number) + " @@\n";
        text += lines[i].mark + lines[i].text + "\n";
    }
    return text.empty() ? "only line ends differ\n" : text;
}

}  // namespace understudy::golden
