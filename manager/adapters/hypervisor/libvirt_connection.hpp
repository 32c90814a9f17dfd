// The way to a libvirt, made when it is needed and made again when it broke. Any thread. A libvirt on this machine is
// one connection for all. To a remote one everybody who calls has a connection of his own while he calls: one that two
// threads use when it breaks brings libvirt (seen with 9.0) and with it the whole program down.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "manager/adapters/hypervisor/libvirt_library.hpp"
#include "manager/adapters/hypervisor/qemu_account.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

class LibvirtConnection {
    /// Lets go of a shared connection, or gives a lent one back.
    struct Return {
        LibvirtConnection* lender = nullptr;
        void operator()(virConnectPtr connection) const;
    };

  public:
    using Lease = std::unique_ptr<virConnect, Return>;
    enum class Driver : std::uint8_t { embedded, local, remote, test };
    /// On libvirt's event thread: a domain, a VIR_DOMAIN_EVENT_…, its detail.
    using OnLifecycle = std::function<void(virDomainPtr, int, int)>;

    [[nodiscard]] static Driver driver_of(const std::string& uri);
    /// Where an embedded driver keeps everything; empty for others.
    [[nodiscard]] static std::string root_of(const std::string& uri);

    /// `rights`: of embedded QEMUs.
    LibvirtConnection(std::string uri, QemuRights rights, OnLifecycle on_lifecycle);
    ~LibvirtConnection();
    LibvirtConnection(const LibvirtConnection&) = delete;
    LibvirtConnection& operator=(const LibvirtConnection&) = delete;

    /// For the calls of one thread; ends before this object does.
    /// Errors: `unavailable` (with libvirt's words, or because nothing answers there within seconds),
    /// `invalid` (embedded, and the URI names no root).
    [[nodiscard]] Result<Lease> get();

    [[nodiscard]] const std::string& uri() const { return uri_; }
    [[nodiscard]] Driver driver() const { return driver_; }
    /// The machine that this runs on.
    [[nodiscard]] bool on_this_machine() const { return driver_ == Driver::embedded || driver_ == Driver::local; }
    /// Of the embedded driver; empty for others.
    [[nodiscard]] std::string root() const { return root_of(uri_); }

  private:
    static int heard(virConnectPtr, virDomainPtr domain, int event, int detail, void* self);
    [[nodiscard]] Result<> prepare_embedded_root() const;
    [[nodiscard]] Result<Connection> open() const;
    /// The connection that hears of ends stands. Precondition: `mutex_` is held.
    [[nodiscard]] Result<> listen();
    [[nodiscard]] Result<Lease> lend();
    void take_back(Connection connection);
    void drop();

    std::string uri_;
    Driver driver_;
    QemuRights rights_;
    OnLifecycle on_lifecycle_;
    std::mutex mutex_;
    Connection connection_;         ///< hears of ends; serves all calls of a libvirt that is not remote
    std::vector<Connection> idle_;  ///< remote: lent to one caller at a time
    int lifecycle_ = -1;
};

}  // namespace understudy::manager
