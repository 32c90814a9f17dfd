// The audit log on a real file: what is written stays, in whole lines, and is read from its end.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include <nlohmann/json.hpp>

#include "manager/adapters/audit/audit_worker.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

struct Folder {
    Folder() {
        char name[] = "/tmp/us-audit-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    [[nodiscard]] std::string file() const { return path + "/audit.log"; }
    [[nodiscard]] std::string content() const {
        std::ifstream stream(file());
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    std::string path;
};

AuditEntry entry(const std::string& id, const std::string& reason = "maintenance") {
    return {id, 1'700'000'000'123, "anna", "administrator", {}, "fence", {"host=alpha"}, reason};
}

nlohmann::json newest(const AuditLog& log, std::size_t count) {
    const auto text = log.newest(count);
    REQUIRE(text);
    return nlohmann::json::parse(*text);
}

}  // namespace

TEST_CASE("audit log: an act and what became of it are two lines that are read as one entry, newest first") {
    const Folder folder;
    AuditLog log(folder.file());
    CHECK(newest(log, 10) == nlohmann::json{{"entries", nlohmann::json::array()}, {"complete", true}});
    REQUIRE(log.append(audit_line(entry("7.1"))));
    REQUIRE(log.append(audit_line(entry("7.2")) + audit_line(AuditResult{"7.1", 1'700'000'001'000, 0, "host alpha is off"})));
    const auto seen = newest(log, 10);
    REQUIRE(seen["entries"].size() == 2);
    CHECK(seen["entries"][0]["id"] == "7.2");
    CHECK_FALSE(seen["entries"][0].contains("result"));
    CHECK(seen["entries"][1]["at"] == "2023-11-14T22:13:20.123Z");
    CHECK(seen["entries"][1]["result"]["text"] == "host alpha is off");
    CHECK(seen["complete"] == true);
    CHECK(newest(log, 1)["complete"] == false);
    CHECK((std::filesystem::status(folder.file()).permissions() & std::filesystem::perms::all) ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("audit log: whatever a reason contains, it is one line, and the next one is not touched by it") {
    const Folder folder;
    AuditLog log(folder.file());
    REQUIRE(log.append(audit_line(entry("7.1", "two\nlines \"quoted\" and \xff no UTF-8\n{\"id\":\"7.9\",\"verb\":\"kill\"}"))));
    REQUIRE(log.append(audit_line(entry("7.2"))));
    CHECK(newest(log, 10)["entries"].size() == 2);
    const std::string content = folder.content();
    CHECK(std::count(content.begin(), content.end(), '\n') == 2);
}

TEST_CASE("audit log: half a line, as a full disk or a power cut leaves it, spoils nothing before or behind it") {
    const Folder folder;
    AuditLog log(folder.file());
    REQUIRE(log.append(audit_line(entry("7.1"))));
    std::ofstream(folder.file(), std::ios::app) << "{\"id\":\"7.2\",\"ver";
    REQUIRE(log.append(audit_line(entry("7.3"))));
    const auto seen = newest(log, 10);
    REQUIRE(seen["entries"].size() == 2);
    CHECK(seen["entries"][0]["id"] == "7.3");
    CHECK(seen["entries"][1]["id"] == "7.1");
}

TEST_CASE("audit log: a large one is read from its end, and an answer is never larger than a message may be") {
    const Folder folder;
    AuditLog log(folder.file());
    std::string lines;
    for (int number = 1; number <= 400; ++number) lines += audit_line(entry("7." + std::to_string(number), std::string(8000, 'x')));
    REQUIRE(log.append(lines));
    const auto text = log.newest(1000);
    REQUIRE(text);
    CHECK(text->size() < 512 * 1024);
    const auto seen = nlohmann::json::parse(*text);
    CHECK(seen["entries"].size() > 20);
    CHECK(seen["entries"][0]["id"] == "7.400");
    CHECK(seen["complete"] == false);
}

TEST_CASE("audit log: what can't be written says why, and a log that was moved away is begun anew") {
    const Folder folder;
    AuditLog log(folder.file());
    REQUIRE(log.append(audit_line(entry("7.1"))));
    std::filesystem::rename(folder.file(), folder.path + "/audit.log.1");
    REQUIRE(log.append(audit_line(entry("7.2"))));
    CHECK(newest(log, 10)["entries"].size() == 1);
    AuditLog full("/dev/full");
    const auto refused = full.append(audit_line(entry("7.1")));
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Catch::Contains("/dev/full") && Catch::Contains("No space left on device"));
    CHECK_FALSE(AuditLog("/proc/audit.log").append("x\n"));
}

TEST_CASE("audit worker: an entry is in the file before anybody is told that it is, and what was given before the end is written") {
    const Folder folder;
    std::mutex mutex;
    std::vector<std::string> seen_at_answer;
    {
        AuditWorker worker(folder.file(), [&](Arrival arrival) {
            const std::lock_guard lock(mutex);
            if (const auto* written = std::get_if<AuditWritten>(&arrival)) {
                CHECK(written->outcome);
                CHECK_THAT(folder.content(), Catch::Contains("\"id\":\"" + written->id + "\""));
                seen_at_answer.push_back(written->id);
            }
        });
        for (int number = 1; number <= 50; ++number) worker.begin(entry("7." + std::to_string(number)));
        worker.end({"7.50", 1'700'000'001'000, 0, "done"});
    }
    CHECK(seen_at_answer.size() == 50);
    CHECK_THAT(folder.content(), Catch::Contains("\"result\":\"done\""));
}
