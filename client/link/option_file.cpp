// See option_file.hpp.
#include "client/link/option_file.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <toml++/toml.h>

namespace understudy::client {

struct OptionFile::Parsed {
    std::string name;
    toml::table table;
};

OptionFile::OptionFile(std::unique_ptr<Parsed> parsed) : parsed_(std::move(parsed)) {}
OptionFile::OptionFile(OptionFile&&) noexcept = default;
OptionFile& OptionFile::operator=(OptionFile&&) noexcept = default;
OptionFile::~OptionFile() = default;

Result<OptionFile> OptionFile::read(const std::string& path) {
    std::ifstream stream(path);
    if (!stream) {
        return failure(ErrorCode::not_found, "cannot read the configuration " + path +
                                                 ": check that the file exists and that you may read it");
    }
    std::ostringstream text;
    text << stream.rdbuf();
    return parse(text.str(), path);
}

Result<OptionFile> OptionFile::parse(std::string_view text, const std::string& name) {
    try {
        return OptionFile(std::make_unique<Parsed>(Parsed{name, toml::parse(text, name)}));
    } catch (const toml::parse_error& error) {
        const auto at = error.source().begin;
        return failure(ErrorCode::invalid, name + ", line " + std::to_string(at.line) + ", column " +
                                               std::to_string(at.column) + ": " +
                                               std::string(error.description()));
    }
}

tl::unexpected<Error> OptionFile::complaint(std::string_view option, const std::string& what) const {
    std::string where = parsed_->name;
    const auto node = parsed_->table.at_path(option);
    if (node) where += ", line " + std::to_string(node.node()->source().begin.line);
    return failure(ErrorCode::invalid, where + ": option \"" + std::string(option) + "\" " + what);
}

std::string OptionFile::resolved(const std::string& path) const {
    const std::filesystem::path given(path);
    if (given.is_absolute()) return path;
    return (std::filesystem::path(parsed_->name).parent_path() / given).string();
}

Result<std::optional<std::string>> OptionFile::text(std::string_view option) const {
    const auto node = parsed_->table.at_path(option);
    if (!node) return std::optional<std::string>{};
    const auto value = node.value_exact<std::string>();
    if (!value) return complaint(option, "must be a text in quotation marks");
    return value;
}

Result<std::string> OptionFile::required_text(std::string_view option) const {
    auto value = text(option);
    if (!value) return tl::unexpected(value.error());
    if (!*value) return complaint(option, "is missing");
    if ((*value)->empty()) return complaint(option, "is empty");
    return **value;
}

Result<std::vector<std::string>> OptionFile::texts(std::string_view option) const {
    const auto node = parsed_->table.at_path(option);
    std::vector<std::string> found;
    if (!node) return found;
    if (!node.is_array()) return complaint(option, "must be a list of texts, like [\"a\", \"b\"]");
    for (const auto& one : *node.as_array()) {
        const auto value = one.value_exact<std::string>();
        if (!value) return complaint(option, "must be a list of texts, like [\"a\", \"b\"]");
        found.push_back(*value);
    }
    return found;
}

Result<std::int64_t> OptionFile::number(std::string_view option, std::int64_t lowest, std::int64_t highest,
                                        std::int64_t otherwise) const {
    const auto node = parsed_->table.at_path(option);
    if (!node) return otherwise;
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < lowest || *value > highest) {
        return complaint(option, "must be a whole number from " + std::to_string(lowest) + " to " +
                                     std::to_string(highest));
    }
    return *value;
}

namespace {

bool admitted(const std::string& name, const std::vector<std::string_view>& known) {
    for (const std::string_view pattern : known) {
        if (pattern == name) return true;
        if (pattern.ends_with(".*") && name.starts_with(pattern.substr(0, pattern.size() - 1))) return true;
    }
    return false;
}

}  // namespace

Result<> OptionFile::only(const std::vector<std::string_view>& known) const {
    for (const auto& [key, value] : parsed_->table) {
        const std::string name(key.str());
        const auto* table = value.as_table();
        if (table == nullptr) {
            if (!admitted(name, known)) return complaint(name, "is not known here; check its spelling");
            continue;
        }
        for (const auto& [inner_key, inner_value] : *table) {
            const std::string inner = name + "." + std::string(inner_key.str());
            if (!admitted(inner, known)) return complaint(inner, "is not known here; check its spelling");
        }
    }
    return {};
}

}  // namespace understudy::client
