// See log.hpp. Exceptions of spdlog end here.
#include "manager/adapters/system/log.hpp"

#include <memory>

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace understudy::manager {
namespace {

constexpr std::size_t kFileBytes = 64u * 1024 * 1024;
constexpr std::size_t kOldFiles = 3;

spdlog::level::level_enum level_of(LogWeight weight) {
    switch (weight) {
        case LogWeight::debug: return spdlog::level::debug;
        case LogWeight::info:
        case LogWeight::notice: return spdlog::level::info;
        case LogWeight::warning: return spdlog::level::warn;
        case LogWeight::alarm: return spdlog::level::err;
    }
    return spdlog::level::info;
}

}  // namespace

Result<LogSink> open_log(LogWeight level, const std::string& file) {
    try {
        spdlog::sink_ptr sink;
        if (file.empty()) {
            sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        } else {
            sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(file, kFileBytes, kOldFiles);
        }
        // Shared, because spdlog's sinks and the returned function both outlive this call.
        const auto logger = std::make_shared<spdlog::logger>("understudyd", sink);
        logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
        logger->set_level(spdlog::level::debug);
        logger->flush_on(spdlog::level::info);
        return LogSink([logger, level](LogWeight weight, const std::string& line) {
            if (weight >= level) logger->log(level_of(weight), "{}{}", weight == LogWeight::alarm ? "ALARM " : "", line);
        });
    } catch (const spdlog::spdlog_ex& error) {
        return failure(ErrorCode::failed, "cannot write the log " + file + ": " + error.what() + "; check [manager] log_file");
    }
}

}  // namespace understudy::manager
