// libvirt as a whole: what must happen once per program, and owners for its handles. The event loop has a
// thread of its own, which lives as long as this object.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include <libvirt/libvirt.h>

#include "protocol/result.hpp"

namespace understudy::manager {

/// Make exactly one, before any other use of libvirt; it outlives every connection.
class LibvirtLibrary {
  public:
    LibvirtLibrary();
    ~LibvirtLibrary();
    LibvirtLibrary(const LibvirtLibrary&) = delete;
    LibvirtLibrary& operator=(const LibvirtLibrary&) = delete;

  private:
    std::atomic<bool> stopping_ = false;
    int ticker_ = -1;
    std::thread thread_;
};

struct CloseConnection {
    void operator()(virConnectPtr connection) const { virConnectClose(connection); }
};
struct FreeDomain {
    void operator()(virDomainPtr domain) const { virDomainFree(domain); }
};
using Connection = std::unique_ptr<virConnect, CloseConnection>;
using Domain = std::unique_ptr<virDomain, FreeDomain>;

/// libvirt's own words for what went wrong last on this thread.
[[nodiscard]] std::string libvirt_words();
/// Its code (VIR_ERR_…); 0: nothing did.
[[nodiscard]] int libvirt_code();

/// Takes over a string that libvirt allocated; empty for none.
[[nodiscard]] std::string take_text(char* text);

}  // namespace understudy::manager
