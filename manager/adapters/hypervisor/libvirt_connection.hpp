// One connection to a libvirt, made when it is needed and made again when it broke. Any thread; what get()
// returns stays usable while another thread makes a new one.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "manager/adapters/hypervisor/libvirt_library.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

class LibvirtConnection {
  public:
    enum class Driver : std::uint8_t { embedded, local, remote, test };
    /// On libvirt's event thread: a domain, a VIR_DOMAIN_EVENT_…, its detail.
    using OnLifecycle = std::function<void(virDomainPtr, int, int)>;

    LibvirtConnection(std::string uri, OnLifecycle on_lifecycle);
    ~LibvirtConnection();
    LibvirtConnection(const LibvirtConnection&) = delete;
    LibvirtConnection& operator=(const LibvirtConnection&) = delete;

    /// Errors: `unavailable` (with libvirt's words, or because nothing answers there within seconds),
    /// `invalid` (embedded, and the URI names no root).
    [[nodiscard]] Result<Connection> get();

    [[nodiscard]] const std::string& uri() const { return uri_; }
    [[nodiscard]] Driver driver() const { return driver_; }
    /// The machine that this runs on.
    [[nodiscard]] bool on_this_machine() const { return driver_ == Driver::embedded || driver_ == Driver::local; }
    /// Of the embedded driver; empty for others.
    [[nodiscard]] std::string root() const;

  private:
    static int heard(virConnectPtr, virDomainPtr domain, int event, int detail, void* self);
    [[nodiscard]] Result<> prepare_embedded_root() const;
    void drop();

    std::string uri_;
    Driver driver_;
    OnLifecycle on_lifecycle_;
    std::mutex mutex_;
    Connection connection_;
    int lifecycle_ = -1;
};

}  // namespace understudy::manager
