// See peer_inode.hpp. Asked of the kernel by netlink (the module unix_diag, which criu needs as well).
#include "nodes/execution/peer_inode.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstring>

#include "nodes/agent/base/descriptor.hpp"

namespace understudy::node {
namespace {

struct Question {
    nlmsghdr header;
    unix_diag_req request;
};

std::uint64_t read_peer(const std::uint8_t* bytes, std::size_t length) {
    nlmsghdr header{};
    if (length < sizeof header) return 0;
    std::memcpy(&header, bytes, sizeof header);
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len > length) return 0;
    std::size_t at = NLMSG_LENGTH(sizeof(unix_diag_msg));
    while (at + sizeof(rtattr) <= header.nlmsg_len) {
        rtattr attribute{};
        std::memcpy(&attribute, bytes + at, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || at + attribute.rta_len > header.nlmsg_len) return 0;
        if (attribute.rta_type == UNIX_DIAG_PEER) {
            std::uint32_t inode = 0;
            std::memcpy(&inode, bytes + at + RTA_LENGTH(0), sizeof inode);
            return inode;
        }
        at += RTA_ALIGN(attribute.rta_len);
    }
    return 0;
}

std::uint64_t peer_of(int netlink, int socket) {
    struct stat info{};
    if (::fstat(socket, &info) != 0) return 0;
    Question question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.request.sdiag_family = AF_UNIX;
    question.request.udiag_states = ~0U;
    question.request.udiag_ino = static_cast<std::uint32_t>(info.st_ino);
    question.request.udiag_show = UDIAG_SHOW_PEER;
    question.request.udiag_cookie[0] = ~0U;
    question.request.udiag_cookie[1] = ~0U;
    if (::send(netlink, &question, sizeof question, 0) != static_cast<ssize_t>(sizeof question)) return 0;
    alignas(nlmsghdr) std::array<std::uint8_t, 4096> answer{};
    const auto length = ::recv(netlink, answer.data(), answer.size(), 0);
    return length > 0 ? read_peer(answer.data(), static_cast<std::size_t>(length)) : 0;
}

}  // namespace

std::vector<std::uint64_t> peer_inodes(const std::vector<int>& sockets) {
    std::vector<std::uint64_t> inodes(sockets.size(), 0);
    const Descriptor netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!netlink) return inodes;
    for (std::size_t i = 0; i < sockets.size(); ++i) inodes[i] = peer_of(netlink.get(), sockets[i]);
    return inodes;
}

}  // namespace understudy::node
