// See key_list.hpp.
#include "manager/adapters/wire/key_list.hpp"

#include <array>
#include <vector>

#include <zmq_addon.hpp>

namespace understudy::manager {
namespace {

/// version, request id, domain, address, routing id, mechanism, credentials
constexpr std::size_t kQuestionFrames = 7;
constexpr std::size_t kKeyBytes = 32;

std::string_view text_of(const zmq::message_t& frame) { return {frame.data<char>(), frame.size()}; }

}  // namespace

void KeyList::spoke(const std::string& key) {
    const auto found = silent_.find(key);
    if (found != silent_.end() && --found->second == 0) silent_.erase(found);
}

std::uint64_t KeyList::answer(zmq::socket_t& handler, bool room) {
    std::uint64_t denied = 0;
    std::vector<zmq::message_t> question;
    while (zmq::recv_multipart(handler, std::back_inserter(question), zmq::recv_flags::dontwait)) {
        std::string key;
        if (question.size() == kQuestionFrames && text_of(question[2]) == kZapDomain &&
            text_of(question[5]) == "CURVE" && question[6].size() == kKeyBytes) {
            std::array<char, 41> text{};
            zmq_z85_encode(text.data(), question[6].data<std::uint8_t>(), kKeyBytes);
            key = text.data();
        }
        const bool admitted = room && find(key) != nullptr;
        if (admitted) ++silent_[key];
        else ++denied;
        const std::string request = question.size() > 1 ? question[1].to_string() : std::string();
        const std::string code = admitted ? "200" : (room ? "400" : "300");
        const std::string words = admitted ? "welcome" : (room ? "this key is not admitted" : "too many connections");
        const std::array<std::string, 6> answer{"1.0", request, code, words, admitted ? key : "", ""};
        for (std::size_t i = 0; i < answer.size(); ++i) {
            handler.send(zmq::buffer(answer[i]), i + 1 < answer.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
        }
        question.clear();
    }
    return denied;
}

}  // namespace understudy::manager
