// See libvirt_connection.hpp.
#include "manager/adapters/hypervisor/libvirt_connection.hpp"

#include <array>
#include <cstring>

#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kEmbeddedUser = "libvirt-qemu";
/// Below the root; libvirt would make them as the umask says.
constexpr std::array kPassedByQemu{"", "/lib", "/lib/qemu", "/run", "/run/qemu", "/cache", "/cache/qemu"};
constexpr int kKnockPatienceMs = 3000;
/// A dead peer shows in seconds.
constexpr int kKeepAliveSeconds = 2;
constexpr unsigned kKeepAliveCount = 3;

struct Server {
    std::string name;
    std::string port;
};

/// Where a remote URI leads by TCP; an empty name: not known.
Server server_of(const std::string& uri) {
    const auto scheme = uri.find("://");
    if (scheme == std::string::npos) return {};
    const std::string transport = uri.substr(0, scheme);
    std::string authority = uri.substr(scheme + 3, uri.find('/', scheme + 3) - scheme - 3);
    authority = authority.substr(authority.rfind('@') + 1);
    std::string port = transport.ends_with("+tcp") ? "16509" : transport.ends_with("+ssh") ? "22" : "16514";
    const auto bracket = authority.rfind(']');
    const auto colon = authority.rfind(':');
    if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
        port = authority.substr(colon + 1);
        authority.resize(colon);
    }
    if (authority.starts_with('[') && authority.ends_with(']')) authority = authority.substr(1, authority.size() - 2);
    return {authority, port};
}

/// libvirt waits for minutes where nobody answers. Whether somebody does is found out before.
Result<> knock(const std::string& uri) {
    const Server server = server_of(uri);
    if (server.name.empty()) return {};
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int code = ::getaddrinfo(server.name.c_str(), server.port.c_str(), &wanted, &found); code != 0) {
        return failure(ErrorCode::unavailable, "cannot reach the hypervisor at " + uri + ": " + ::gai_strerror(code));
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
    const UniqueFd door(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int problem = ::connect(door.get(), found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
    if (problem == EINPROGRESS) {
        pollfd waiting{door.get(), POLLOUT, 0};
        socklen_t length = sizeof problem;
        if (::poll(&waiting, 1, kKnockPatienceMs) != 1) problem = ETIMEDOUT;
        else ::getsockopt(door.get(), SOL_SOCKET, SO_ERROR, &problem, &length);
    }
    if (problem == 0) return {};
    return failure(ErrorCode::unavailable, "cannot reach the hypervisor at " + uri + ": " + std::strerror(problem));
}

}  // namespace

LibvirtConnection::Driver LibvirtConnection::driver_of(const std::string& uri) {
    if (uri.starts_with("qemu:///embed")) return Driver::embedded;
    if (uri.starts_with("test:")) return Driver::test;
    return uri.starts_with("qemu:///") ? Driver::local : Driver::remote;
}

std::string LibvirtConnection::root_of(const std::string& uri) {
    const auto at = uri.find("?root=");
    return driver_of(uri) != Driver::embedded || at == std::string::npos ? std::string() : uri.substr(at + 6);
}

LibvirtConnection::LibvirtConnection(std::string uri, QemuRights rights, OnLifecycle on_lifecycle)
    : uri_(std::move(uri)), driver_(driver_of(uri_)), rights_(rights), on_lifecycle_(std::move(on_lifecycle)) {}

LibvirtConnection::~LibvirtConnection() { drop(); }

Result<> LibvirtConnection::prepare_embedded_root() const {
    if (root().empty()) return failure(ErrorCode::invalid, uri_ + " names no root: write qemu:///embed?root=DIRECTORY");
    // The driver looks this account up even though it is told to use another one.
    if (::geteuid() == 0 && ::getpwnam(kEmbeddedUser) == nullptr) {
        return failure(ErrorCode::unavailable, std::string("libvirt's QEMU driver wants the account ") + kEmbeddedUser +
                                                   " to exist; make it with: useradd --system --user-group --no-create-home " + kEmbeddedUser);
    }
    // What an instance may open is given to its account by us: libvirt would give it the image that all of them read.
    std::string settings = "# Written by understudyd at every start.\nstdio_handler = \"file\"\nsecurity_driver = \"none\"\n"
                           "remember_owner = 0\ndynamic_ownership = 0\ncgroup_controllers = []\nmax_core = 0\n";
    if (::geteuid() == 0) {
        // For the QEMU that libvirt asks what it can; each instance names an account of its own.
        const std::string user = rights_ == QemuRights::own_account ? kEmbeddedUser : "root";
        settings += "user = \"" + user + "\"\ngroup = \"" + (rights_ == QemuRights::own_account && processor_group() != 0 ? kProcessorGroup : user) + "\"\n";
    }
    for (const char* passed : kPassedByQemu) {
        if (auto made = make_passable_directory(root() + passed); !made) return made;
    }
    return make_directory(root() + "/etc").and_then([&] { return write_file(root() + "/etc/qemu.conf", settings); });
}

Result<Connection> LibvirtConnection::open() const {
    if (driver_ == Driver::remote) {
        if (auto answers = knock(uri_); !answers) return tl::unexpected(answers.error());
    }
    Connection made(virConnectOpen(uri_.c_str()));
    if (!made) return failure(ErrorCode::unavailable, "cannot reach the hypervisor at " + uri_ + ": " + libvirt_words());
    if (driver_ == Driver::remote) virConnectSetKeepAlive(made.get(), kKeepAliveSeconds, kKeepAliveCount);
    return made;
}

Result<> LibvirtConnection::listen() {
    if (connection_ && virConnectIsAlive(connection_.get()) == 1) return {};
    drop();
    if (driver_ == Driver::embedded) {
        if (auto prepared = prepare_embedded_root(); !prepared) return prepared;
    }
    auto made = open();
    if (!made) return tl::unexpected(made.error());
    connection_ = std::move(*made);
    lifecycle_ = virConnectDomainEventRegisterAny(connection_.get(), nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                  VIR_DOMAIN_EVENT_CALLBACK(&LibvirtConnection::heard), this, nullptr);
    return {};
}

Result<LibvirtConnection::Lease> LibvirtConnection::get() {
    {
        const std::lock_guard lock(mutex_);
        if (auto listens = listen(); !listens) return tl::unexpected(listens.error());
        if (driver_ != Driver::remote) {
            virConnectRef(connection_.get());
            return Lease(connection_.get());
        }
    }
    return lend();
}

Result<LibvirtConnection::Lease> LibvirtConnection::lend() {
    for (Connection candidate;; candidate.reset()) {
        {
            const std::lock_guard lock(mutex_);
            if (idle_.empty()) break;
            candidate = std::move(idle_.back());
            idle_.pop_back();
        }
        if (virConnectIsAlive(candidate.get()) == 1) return Lease(candidate.release(), Return{this});
    }
    auto made = open();
    if (!made) return tl::unexpected(made.error());
    return Lease(made->release(), Return{this});
}

void LibvirtConnection::take_back(Connection connection) {
    if (virConnectIsAlive(connection.get()) != 1) return;
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
}

void LibvirtConnection::Return::operator()(virConnectPtr connection) const {
    if (lender == nullptr) virConnectClose(connection);
    else lender->take_back(Connection(connection));
}

void LibvirtConnection::drop() {
    // A callback left behind would keep the dead connection and its socket.
    if (connection_ && lifecycle_ >= 0) virConnectDomainEventDeregisterAny(connection_.get(), lifecycle_);
    lifecycle_ = -1;
    connection_.reset();
}

int LibvirtConnection::heard(virConnectPtr, virDomainPtr domain, int event, int detail, void* self) {
    static_cast<LibvirtConnection*>(self)->on_lifecycle_(domain, event, detail);
    return 0;
}

}  // namespace understudy::manager
