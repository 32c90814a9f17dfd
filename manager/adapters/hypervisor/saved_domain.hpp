// The file that libvirt saves a domain's memory to, as far as a copy of the machine needs it: whose memory it
// is. Any thread.
#pragma once

#include <string>

#include "protocol/result.hpp"

namespace understudy::manager {

/// Makes the file that of the domain `xml` describes: libvirt restores what the file names, and only under
/// that name. The description is replaced in place, the memory behind it is not touched.
/// Errors: `failed` (the system's words), `damaged` (no file of a form that is known), `limit` (too long).
[[nodiscard]] Result<> rename_saved_domain(const std::string& path, const std::string& xml);

}  // namespace understudy::manager
