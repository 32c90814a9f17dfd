// What can go wrong in operation, as a value.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace understudy {

/// Why something did not happen. The codes are stable: they cross the wire and exit codes map to them.
enum class ErrorCode {
    invalid = 1,        ///< the request makes no sense as it stands
    not_found = 2,      ///< what it names does not exist
    refused = 3,        ///< understood, and against a rule (rights, epoch, state)
    unavailable = 4,    ///< cannot be done now; trying again later may work
    no_capacity = 5,    ///< nothing free that fits
    unknown_outcome = 6,  ///< it may or may not have happened
    failed = 7,         ///< tried, and another system said no
    limit = 8,          ///< a bound was exceeded
    version = 9,        ///< the other side speaks another protocol version
    damaged = 10,       ///< data that does not verify
};

/// A short stable word for a code, for logs and JSON.
[[nodiscard]] const char* to_string(ErrorCode code);

/// `message` says what was tried, on what, the cause in the words of whoever said it, and the next step.
struct Error {
    ErrorCode code = ErrorCode::failed;
    std::string message;
    bool operator==(const Error&) const = default;
};

template <class T = void>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> failure(ErrorCode code, std::string message) {
    return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace understudy
