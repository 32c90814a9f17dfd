// See difference.hpp.
#include "client/view/difference.hpp"

#include <algorithm>

namespace understudy::client {
namespace {

struct Member {
    std::string_view name;  ///< without quotes, as written
    std::string_view value;
};
using Members = std::vector<Member>;

/// Goes through a JSON text one value at a time. What is inside a value is passed over, not judged.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    /// The next character that is no space, if it is this one.
    bool take(char wanted) {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    /// The next value; empty at the end of the text or of what it is in.
    std::string_view value() {
        while (at_ < text_.size() && text_[at_] <= ' ') ++at_;
        const std::size_t begin = at_;
        std::size_t depth = 0;
        while (at_ < text_.size()) {
            const char letter = text_[at_];
            if (letter == '"') {
                pass_string();
                if (depth == 0) break;
                continue;
            }
            if (letter == '{' || letter == '[') ++depth;
            const bool closes = letter == '}' || letter == ']';
            if (depth == 0 && (closes || letter == ',' || letter <= ' ')) break;
            ++at_;
            if (closes && --depth == 0) break;
        }
        return depth == 0 ? text_.substr(begin, at_ - begin) : std::string_view();
    }

    [[nodiscard]] bool ended() {
        while (at_ < text_.size() && text_[at_] <= ' ') ++at_;
        return at_ == text_.size();
    }

private:
    void pass_string() {
        for (++at_; at_ < text_.size(); ++at_) {
            if (text_[at_] == '\\') ++at_;
            else if (text_[at_] == '"') break;
        }
        at_ = std::min(at_ + 1, text_.size());
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

/// Members of an object. Nothing if the text is none.
std::optional<Members> members_of(std::string_view text) {
    Scanner scanner(text);
    Members members;
    if (!scanner.take('{')) return std::nullopt;
    if (scanner.take('}')) return members;
    do {
        const std::string_view name = scanner.value();
        if (name.size() < 2 || name.front() != '"' || !scanner.take(':')) return std::nullopt;
        const std::string_view value = scanner.value();
        if (value.empty()) return std::nullopt;
        members.push_back({name.substr(1, name.size() - 2), value});
    } while (scanner.take(','));
    if (!scanner.take('}') || !scanner.ended()) return std::nullopt;
    return members;
}

std::string_view key_of(const Members& members) {
    for (const char* name : {"id", "flavour"}) {
        for (const Member& member : members) {
            if (member.name == name) return member.value;
        }
    }
    return {};
}

void add(std::string& list, std::string_view what) {
    if (!list.empty()) list += ',';
    list += what;
}

std::string member_text(std::string_view name, std::string_view value) {
    std::string text = "\"";
    text.append(name).append("\":").append(value);
    return text;
}

/// {key and changed members}; empty if the members are others.
std::string changed_members(std::string_view row, std::string_view before) {
    const auto are = members_of(row);
    const auto were = members_of(before);
    const auto same_name = [](const Member& a, const Member& b) { return a.name == b.name; };
    if (!are || !were || !std::equal(are->begin(), are->end(), were->begin(), were->end(), same_name)) return {};
    const std::string_view key = key_of(*are);
    std::string changed;
    for (std::size_t i = 0; i < are->size(); ++i) {
        const Member& member = (*are)[i];
        if (member.value.data() == key.data() || member.value != (*were)[i].value) add(changed, member_text(member.name, member.value));
    }
    return "{" + changed + "}";
}

}  // namespace

bool IndexedView::add_rows(List& list, std::string_view text) {
    Scanner scanner(text);
    if (!scanner.take('[')) return false;
    if (scanner.take(']')) return true;
    do {
        const std::string_view row = scanner.value();
        const auto members = members_of(row);
        const std::string_view key = members ? key_of(*members) : std::string_view();
        if (key.empty() || !list.at.emplace(key, list.rows.size()).second) return false;
        list.rows.push_back({key, row});
    } while (scanner.take(','));
    return scanner.take(']');
}

bool IndexedView::add_part(std::string_view text) {
    const auto members = members_of(text);
    if (!members) return false;
    const bool numbered = members->size() > 2 && members->front().name == "view" && (*members)[1].name == "part";
    for (const Member& member : *members) {
        if (numbered && (member.name == "view" || member.name == "part" || member.name == "parts")) continue;
        if (member.value.front() != '[') values_.emplace(member.name, member.value);
        else if (!add_rows(lists_[member.name], member.value)) return false;
    }
    return true;
}

std::optional<IndexedView> IndexedView::read(ViewTexts texts) {
    IndexedView view;
    view.texts_ = std::move(texts);
    for (const std::string& text : view.texts_) {
        if (!view.add_part(text)) return std::nullopt;
    }
    return view;
}

std::string IndexedView::changes_of(const List& list, const List& before) {
    std::string fresh;
    std::string changed;
    std::string order;
    bool moved = list.rows.size() != before.rows.size();
    for (std::size_t i = 0; i < list.rows.size(); ++i) {
        const Row& row = list.rows[i];
        const bool in_place = i < before.rows.size() && before.rows[i].key == row.key;
        moved = moved || !in_place;
        add(order, row.key);
        const auto known = in_place ? before.at.end() : before.at.find(row.key);
        const Row* was = in_place ? &before.rows[i] : known == before.at.end() ? nullptr : &before.rows[known->second];
        if (was != nullptr && was->text == row.text) continue;
        const std::string difference = was == nullptr ? std::string() : changed_members(row.text, was->text);
        if (difference.empty()) add(fresh, row.text);
        else add(changed, difference);
    }
    std::string text;
    if (moved) add(text, member_text("order", "[" + order + "]"));
    if (!fresh.empty()) add(text, member_text("new", "[" + fresh + "]"));
    if (!changed.empty()) add(text, member_text("changed", "[" + changed + "]"));
    return text;
}

std::string IndexedView::changes_since(const IndexedView& before) const {
    std::string set;
    for (const auto& [name, value] : values_) {
        const auto was = before.values_.find(name);
        if (was == before.values_.end() || was->second != value) add(set, member_text(name, value));
    }
    std::string rows;
    static const List kNone;
    for (const auto& [name, list] : lists_) {
        const auto was = before.lists_.find(name);
        const std::string changes = changes_of(list, was == before.lists_.end() ? kNone : was->second);
        if (!changes.empty()) add(rows, member_text(name, "{" + changes + "}"));
    }
    return "{\"set\":{" + set + "},\"rows\":{" + rows + "}}";
}

}  // namespace understudy::client
