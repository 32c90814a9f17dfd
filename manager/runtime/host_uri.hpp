// Which URIs of hypervisors a person may name while the manager runs. Pure.
//
// libvirt carries out some of what a URI says on the manager's own machine: a transport may be a program to run, and
// options after the "?" name programs, files and proxies. Those are for the configuration, which belongs to whoever
// owns that machine.
#pragma once

#include <string>

namespace understudy::manager {

/// Why this URI is refused, for people; empty: it is one of scheme[+transport]://[[user@]host[:port]]/path, with nothing
/// in it that could be taken for anything else.
[[nodiscard]] std::string refusal_of_uri(const std::string& uri);

/// The same for an address where doors are reached: a name or number of a machine.
[[nodiscard]] bool is_machine_address(const std::string& address);

}  // namespace understudy::manager
