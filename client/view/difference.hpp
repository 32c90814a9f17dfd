// What changed from one view to the next, so that pages are sent that and not the whole again. Works on the texts
// as they came and builds no document of them: a large view is megabytes every second. Plain values; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/view/parts.hpp"

namespace understudy::client {

/// A view that can be compared. Lists are known by the `id` of their rows, else their `flavour`.
class IndexedView {
public:
    /// Nothing if the texts are not those of a view, or if two rows of a list have the same key.
    [[nodiscard]] static std::optional<IndexedView> read(ViewTexts texts);

    IndexedView(IndexedView&&) = default;
    IndexedView& operator=(IndexedView&&) = default;
    IndexedView(const IndexedView&) = delete;  // what is inside points into its own texts
    IndexedView& operator=(const IndexedView&) = delete;

    /// {"set":{NAME:value,…},"rows":{LIST:{"order":[key,…],"new":[row,…],"changed":[{key and changed members},…]},…}}
    /// What did not change is not there; `order` is when rows came, went or moved. A row whose members are others
    /// than before is `new`.
    [[nodiscard]] std::string changes_since(const IndexedView& before) const;

private:
    struct Row {
        std::string_view key;  ///< as in the text: 7, or "small"
        std::string_view text;
    };
    struct List {
        std::vector<Row> rows;
        std::map<std::string_view, std::size_t> at;  ///< key → row
    };

    IndexedView() = default;
    [[nodiscard]] bool add_part(std::string_view text);
    [[nodiscard]] static bool add_rows(List& list, std::string_view text);
    [[nodiscard]] static std::string changes_of(const List& list, const List& before);

    ViewTexts texts_;
    std::map<std::string_view, std::string_view> values_;
    std::map<std::string_view, List> lists_;
};

}  // namespace understudy::client
