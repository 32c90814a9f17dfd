// Reads a TOML file option by option, so that every complaint names the file, the line and the option.
// Hides the parser from the rest of the program. Not shared between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::client {

/// One parsed file. Options of tables are named with a dot: "gateway.port".
class OptionFile {
public:
    /// Errors: `not_found` (cannot be read), `invalid` (not TOML: file, line, column and the parser's words).
    [[nodiscard]] static Result<OptionFile> read(const std::string& path);

    /// The same for text that is already in memory; `name` stands for the file in messages.
    [[nodiscard]] static Result<OptionFile> parse(std::string_view text, const std::string& name);

    OptionFile(OptionFile&&) noexcept;
    OptionFile& operator=(OptionFile&&) noexcept;
    ~OptionFile();

    /// The text of an option, nothing if it is absent. Errors: `invalid` (present, and not a text).
    [[nodiscard]] Result<std::optional<std::string>> text(std::string_view option) const;

    /// The text of an option that must be there. Errors: `invalid` (absent, empty or not a text).
    [[nodiscard]] Result<std::string> required_text(std::string_view option) const;

    /// The texts of a list, none if it is absent. Errors: `invalid` (present, and not a list of texts).
    [[nodiscard]] Result<std::vector<std::string>> texts(std::string_view option) const;

    /// A whole number inside [lowest, highest], or `otherwise` if absent. Errors: `invalid`.
    [[nodiscard]] Result<std::int64_t> number(std::string_view option, std::int64_t lowest,
                                              std::int64_t highest, std::int64_t otherwise) const;

    /// Refuses options nobody knows: a misspelt option must not be silently without effect. `known`
    /// lists full names; a name that ends in ".*" admits a whole table. Errors: `invalid`.
    [[nodiscard]] Result<> only(const std::vector<std::string_view>& known) const;

    /// A complaint about one option, with file and line in front.
    [[nodiscard]] tl::unexpected<Error> complaint(std::string_view option, const std::string& what) const;

    /// A path in the file is relative to the file's own folder.
    [[nodiscard]] std::string resolved(const std::string& path) const;

private:
    struct Parsed;
    explicit OptionFile(std::unique_ptr<Parsed> parsed);
    std::unique_ptr<Parsed> parsed_;
};

}  // namespace understudy::client
