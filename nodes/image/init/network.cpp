// The guest's network. No thread of its own.
#include "network.hpp"

#include <charconv>
#include <fstream>

#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace understudy::guest {

namespace {

struct sockaddr* as_generic(struct sockaddr_in* address) {
  return reinterpret_cast<struct sockaddr*>(address);
}

struct ifreq request_for(const char* device) {
  struct ifreq request {};
  std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  return request;
}

Outcome bring_up(int socket, const char* device) {
  struct ifreq request = request_for(device);
  if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0) {
    return system_error(std::string("find the network device ") + device);
  }
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) return system_error(std::string("bring up ") + device);
  return {};
}

Outcome set_address(int socket, const char* device, unsigned long what, in_addr address) {
  struct ifreq request = request_for(device);
  auto* place = reinterpret_cast<struct sockaddr_in*>(&request.ifr_addr);
  place->sin_family = AF_INET;
  place->sin_addr = address;
  if (::ioctl(socket, what, &request) != 0) {
    return system_error(std::string("give an address to ") + device);
  }
  return {};
}

Outcome add_default_route(int socket, const std::string& gateway) {
  struct rtentry route {};
  auto* via = reinterpret_cast<struct sockaddr_in*>(&route.rt_gateway);
  via->sin_family = AF_INET;
  if (::inet_pton(AF_INET, gateway.c_str(), &via->sin_addr) != 1) {
    return tl::make_unexpected("understudy.gateway=" + gateway + " is no IPv4 address");
  }
  struct sockaddr_in any {};
  any.sin_family = AF_INET;
  route.rt_dst = *as_generic(&any);
  route.rt_genmask = *as_generic(&any);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  if (::ioctl(socket, SIOCADDRT, &route) != 0 && errno != EEXIST) {
    return system_error("set the gateway " + gateway);
  }
  return {};
}

Outcome configure_eth0(int socket, const std::string& cidr, const std::string& gateway) {
  const auto slash = cidr.find('/');
  const std::string text = cidr.substr(0, slash);
  int bits = 24;
  if (slash != std::string::npos) {
    std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits);
  }
  in_addr address {};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1 || bits < 1 || bits > 32) {
    return tl::make_unexpected("understudy.address=" + cidr + " is not of the form 10.0.2.15/24");
  }
  const in_addr mask {htonl(~0U << static_cast<unsigned>(32 - bits))};
  return set_address(socket, "eth0", SIOCSIFADDR, address)
      .and_then([&] { return set_address(socket, "eth0", SIOCSIFNETMASK, mask); })
      .and_then([&] { return bring_up(socket, "eth0"); })
      .and_then([&] { return add_default_route(socket, gateway); });
}

}  // namespace

Outcome configure_network(const KernelLine& line) {
  const std::string host = line.value("understudy.hostname", "understudy");
  ::sethostname(host.data(), host.size());
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return system_error("open a network socket");
  Outcome done = bring_up(socket, "lo");
  const std::string address = line.value("understudy.address", "10.0.2.15/24");
  if (done && address != "none") {
    done = configure_eth0(socket, address, line.value("understudy.gateway", "10.0.2.2"));
    std::ofstream("/run/understudy/resolv.conf") << "nameserver " << line.value("understudy.dns", "10.0.2.3") << '\n';
  }
  ::close(socket);
  return done;
}

}  // namespace understudy::guest
