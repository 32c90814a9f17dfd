// See option_table.hpp.
#include "manager/adapters/config/option_table.hpp"

namespace understudy::manager {

void Complaints::add(std::uint32_t line, const std::string& what) {
    lines.push_back(file + (line == 0 ? "" : ":" + std::to_string(line)) + ": " + what);
}

OptionTable::OptionTable(const toml::table& table, std::string name, Complaints& complaints)
    : table_(table), name_(std::move(name)), complaints_(complaints) {}

const toml::node* OptionTable::find(std::string_view option) {
    known_.emplace(option);
    return table_.get(option);
}

void OptionTable::complain(std::string_view option, const std::string& what) {
    const toml::node* node = table_.get(option);
    const toml::source_region& where = node != nullptr ? node->source() : table_.source();
    complaints_.add(where.begin.line, name_ + " " + std::string(option) + " " + what);
}

std::string OptionTable::text(std::string_view option, std::string otherwise) {
    const toml::node* node = find(option);
    if (node == nullptr) return otherwise;
    if (const auto* value = node->as_string()) return value->get();
    complain(option, "must be a text in quotes");
    return otherwise;
}

std::string OptionTable::required_text(std::string_view option) {
    std::string value = text(option, {});
    if (!has(option)) {
        complain(option, "is missing: it must be a text that is not empty");
    } else if (value.empty() && table_.get(option)->is_string()) {
        complain(option, "is empty: it must be a text that is not empty");
    }
    return value;
}

std::int64_t OptionTable::required_moment(std::string_view option) {
    const toml::node* node = find(option);
    const auto* value = node == nullptr ? nullptr : node->as_date_time();
    if (value == nullptr || !value->get().offset) {
        complain(option, "must be a moment such as 2026-12-24T18:00:00Z, without quotes");
        return 0;
    }
    const toml::date_time& moment = value->get();
    const std::chrono::sys_days day = std::chrono::year(moment.date.year) / moment.date.month / moment.date.day;
    const auto time = std::chrono::hours(moment.time.hour) + std::chrono::minutes(moment.time.minute) + std::chrono::seconds(moment.time.second) -
                      std::chrono::minutes(moment.offset->minutes);
    return std::chrono::duration_cast<std::chrono::milliseconds>(day.time_since_epoch() + time).count();
}

std::uint64_t OptionTable::long_number(std::string_view option, std::uint64_t lowest, std::uint64_t highest,
                                       std::uint64_t otherwise) {
    const toml::node* node = find(option);
    if (node == nullptr) return otherwise;
    const auto* value = node->as_integer();
    if (value == nullptr || value->get() < 0 || static_cast<std::uint64_t>(value->get()) < lowest ||
        static_cast<std::uint64_t>(value->get()) > highest) {
        complain(option, "must be a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
        return otherwise;
    }
    return static_cast<std::uint64_t>(value->get());
}

std::uint32_t OptionTable::number(std::string_view option, std::uint32_t lowest, std::uint32_t highest,
                                  std::uint32_t otherwise) {
    return static_cast<std::uint32_t>(long_number(option, lowest, highest, otherwise));
}

Duration OptionTable::duration_ms(std::string_view option, std::uint32_t lowest, std::uint32_t highest, Duration otherwise) {
    const auto fallback = static_cast<std::uint32_t>(to_ms(otherwise));
    return std::chrono::milliseconds(number(option, lowest, highest, fallback));
}

std::vector<std::string> OptionTable::texts(std::string_view option) {
    const toml::node* node = find(option);
    if (node == nullptr) return {};
    std::vector<std::string> values;
    if (const toml::array* list = node->as_array()) {
        for (const toml::node& item : *list) {
            if (const auto* value = item.as_string()) values.push_back(value->get());
        }
        if (values.size() == list->size()) return values;
    }
    complain(option, "must be a list of texts, such as [\"one\", \"two\"]");
    return {};
}

std::vector<std::uint32_t> OptionTable::numbers(std::string_view option, std::uint32_t lowest, std::uint32_t highest) {
    const toml::node* node = find(option);
    if (node == nullptr) return {};
    std::vector<std::uint32_t> values;
    if (const toml::array* list = node->as_array()) {
        for (const toml::node& item : *list) {
            const auto* value = item.as_integer();
            if (value != nullptr && value->get() >= lowest && value->get() <= highest) {
                values.push_back(static_cast<std::uint32_t>(value->get()));
            }
        }
        if (values.size() == list->size()) return values;
    }
    complain(option, "must be a list of whole numbers from " + std::to_string(lowest) + " to " + std::to_string(highest));
    return {};
}

void OptionTable::each(std::string_view option, const std::function<void(const toml::table&)>& body) {
    const toml::node* node = find(option);
    if (node == nullptr) return;
    const toml::array* list = node->as_array();
    if (list == nullptr || !list->is_array_of_tables()) {
        complain(option, "must be a list of tables, each begun with [[" + std::string(option) + "]]");
        return;
    }
    for (const toml::node& item : *list) body(*item.as_table());
}

void OptionTable::finish() {
    std::string allowed;
    for (const std::string& option : known_) allowed += (allowed.empty() ? "" : ", ") + option;
    for (const auto& [key, node] : table_) {
        if (known_.contains(key.str())) continue;
        complaints_.add(key.source().begin.line,
                        name_ + " " + std::string(key.str()) + " is not known here; allowed are: " + allowed);
    }
}

}  // namespace understudy::manager
