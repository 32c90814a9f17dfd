// The manager's JSON view as text for people. Pure functions; any thread. Missing members of the view
// are shown as "-": a newer or older manager must not make the command line useless.
#pragma once

#include <string>
#include <string_view>

#include "protocol/result.hpp"

namespace understudy::client {

/// What can be shown of a view.
enum class Section { status, hosts, nodes, terminals, sessions, pools, incidents };

/// Text of one section. Errors: `damaged` (the manager's answer is not JSON).
[[nodiscard]] Result<std::string> view_text(std::string_view view_json, Section section);

/// One incident with its whole story, from the answer to `incident id=N`.
[[nodiscard]] Result<std::string> incident_text(std::string_view incident_json);

/// What a rehearsal says: what has no place comes first, then who would go where.
[[nodiscard]] Result<std::string> rehearsal_text(std::string_view rehearsal_json);

/// Who did what, from the answer to `audit`: newest first.
[[nodiscard]] Result<std::string> audit_text(std::string_view audit_json);

/// Names of one kind, one on a line: what commands take ("nodes": numbers). Empty when the view cannot be read.
[[nodiscard]] std::string names_in(std::string_view view_json, std::string_view kind);

/// The part of the view that `--json` prints for a section; the whole view for `status`.
[[nodiscard]] Result<std::string> view_json(std::string_view view_json, Section section);

}  // namespace understudy::client
