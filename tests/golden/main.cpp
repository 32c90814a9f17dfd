// golden-tests: runs every script against the deciding cores and compares the decisions with the ones
// a reviewer has read.
//
//   golden-tests [--scripts DIR] [NAME…]           compare; exit code 1 when anything differs
//   golden-tests [--scripts DIR] --record [NAME…]  write NAME.expected anew; read the difference before committing
//   golden-tests [--scripts DIR] --print NAME      print the transcript only
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>

#include "tests/golden/diff.hpp"
#include "tests/golden/stage.hpp"

namespace understudy::golden {
namespace {

namespace fs = std::filesystem;

enum class Task { compare, record, print };

struct Options {
    fs::path scripts = UNDERSTUDY_GOLDEN_SCRIPTS;
    Task task = Task::compare;
    std::vector<std::string> names;
};

std::optional<std::string> read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return {};
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

std::string transcript_of(const fs::path& script) {
    const auto content = read_file(script);
    if (!content) throw ScriptError("cannot be read: " + script.string());
    const std::vector<Statement> statements = parse_script(*content);
    const bool agent = !statements.empty() && statements.front().words.front() == "agent";
    return agent ? run_agent_script(statements) : run_manager_script(statements);
}

std::vector<std::string> all_names(const fs::path& folder) {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".script") names.push_back(entry.path().stem().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

/// True when the script ran and its transcript is the expected one (or was recorded).
bool run_one(const Options& options, const std::string& name) {
    const fs::path expected_path = options.scripts / (name + ".expected");
    std::string transcript;
    try {
        transcript = transcript_of(options.scripts / (name + ".script"));
        // The same script twice must tell the same story, to the letter.
        if (transcript_of(options.scripts / (name + ".script")) != transcript) {
            std::cout << "FAIL " << name << ": two runs differ\n";
            return false;
        }
    } catch (const ScriptError& error) {
        std::cout << "FAIL " << name << ": " << error.what() << '\n';
        return false;
    } catch (const PromiseBroken& error) {
        std::cout << error.so_far << "FAIL " << name << ": promise broken: " << error.what() << '\n';
        return false;
    }
    if (options.task == Task::print) {
        std::cout << transcript;
        return true;
    }
    const std::optional<std::string> expected = read_file(expected_path);
    const std::string changed = difference(expected.value_or(""), transcript);
    if (changed.empty() && expected) return true;
    if (options.task == Task::record) {
        std::ofstream(expected_path, std::ios::binary) << transcript;
        std::cout << "recorded " << name << '\n' << (expected ? changed : "");
        return true;
    }
    std::cout << "FAIL " << name << ": the decisions differ from " << expected_path.filename().string()
              << " (- expected, + now)\n" << changed;
    return false;
}

int run(const Options& options) {
    const std::vector<std::string> names = options.names.empty() ? all_names(options.scripts) : options.names;
    std::size_t failures = 0;
    for (const std::string& name : names) failures += run_one(options, name) ? 0 : 1;
    if (options.task != Task::print) {
        std::cout << names.size() << " scripts, " << failures << " failures\n";
        if (failures != 0 && options.task == Task::compare) {
            std::cout << "When a difference is understood and right: golden-tests --record NAME\n";
        }
    }
    return failures == 0 && !names.empty() ? 0 : 1;
}

}  // namespace
}  // namespace understudy::golden

int main(int count, char** words) {
    using namespace understudy::golden;
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        if (word == "--record") options.task = Task::record;
        else if (word == "--print") options.task = Task::print;
        else if (word == "--scripts" && i + 1 < count) options.scripts = words[++i];
        else if (word.starts_with("-")) {
            std::cerr << "usage: golden-tests [--scripts DIR] [--record | --print] [NAME…]\n";
            return 2;
        } else {
            options.names.push_back(word);
        }
    }
    return run(options);
}
