// Writes the corpus that is in the tree: one message of each type, and tickets. Usage: make-corpus FOLDER
#include <fstream>
#include <string>
#include <utility>

#include "protocol/codec.hpp"
#include "protocol/pack.hpp"
#include "protocol/ticket.hpp"

using namespace understudy;

namespace {

void write(const std::string& file, const Bytes& bytes, const std::string& head = {}) {
    std::ofstream to(file, std::ios::binary);
    to << head;
    to.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

template <std::size_t... Type>
void write_each(const std::string& folder, std::index_sequence<Type...>) {
    const auto one = [&](Message message) { write(folder + "/" + name_of(message), encode({7, 9, message})); };
    (one(std::variant_alternative_t<Type, Message>{}), ...);
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) return 2;
    const std::string folder = words[1];
    write_each(folder + "/decode", std::make_index_sequence<std::variant_size_v<Message>>{});
    Hello hello;
    hello.node = NodeId(5);
    hello.sessions.resize(2);
    hello.sessions[0].checkpoints.resize(2);
    hello.desktops.resize(1);
    hello.desktops[0].windows.resize(2);
    hello.held_sessions.resize(1);
    hello.held_desktops.resize(1);
    write(folder + "/decode/full-hello", encode({7, 9, hello}));
    write(folder + "/decode/another-version", encode({7, 9, Heartbeat{}}, 2));
    AssignDesktop desktop;
    desktop.windows.resize(2);
    desktop.windows[0].ticket.text = "a.b";
    desktop.layout.resize(2);
    write(folder + "/decode/full-desktop", encode({7, 9, desktop}));
    write(folder + "/decode/act", encode({7, 9, AdminRequest{3, "define-host", {"name=alpha", "uri=qemu:///system", "vcpus=4", "reason=new"}}}));
    const TicketClaims claims{Purpose::window, TerminalId(1), SessionId(2), NodeId(3), NodeId(4), 5, 6, 7, 1'700'000'000'000};
    Bytes body;
    pack::append(body, claims);
    write(folder + "/ticket/claims", body, "\x01");
    const auto sealed = seal_ticket(claims, make_ticket_keys().secret);
    if (sealed) write(folder + "/ticket/signed-by-another", {}, std::string("0") + *sealed);
    return 0;
}
