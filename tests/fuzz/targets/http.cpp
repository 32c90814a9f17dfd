// A stranger at the gateway's port, once TLS is through: whatever the request, only what is meant for strangers is theirs,
// nobody is somebody without the key or the cookie, and no path leads out of its folder.
#include <stdlib.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "client/gateway/access.hpp"
#include "client/gateway/act.hpp"
#include "client/gateway/assets.hpp"
#include "client/gateway/limits.hpp"
#include "client/gateway/private_file.hpp"
#include "client/gateway/target.hpp"

using namespace understudy;
using namespace understudy::gateway;
namespace http = boost::beast::http;

namespace {

using Request = http::request<http::string_body>;

// The corpus knows both, so that the ways of those who are logged in are walked as well.
constexpr std::string_view kKey = "usk_abcdefghijkmnopqrstuvwxyz2345";
constexpr std::string_view kToken = "usk_zyxwvutsrqponmkjihgfedcba5432";
constexpr std::string_view kCookie = "__Host-understudy";
constexpr std::string_view kOutside = "nobody may read this";
constexpr std::int64_t kNow = 1'700'000'000;

/// A gateway's folders with one program, one person who is logged in, and a file that is nobody's business.
class Site {
public:
    Site() : access_(make_folder()) {
        std::filesystem::create_directories(folder_ + "/files/core");
        std::ofstream(folder_ + "/files/core/rfb.js") << "inside";
        std::ofstream(folder_ + "/outside.js") << kOutside;
        AccountBook book;
        book.accounts.push_back({"robot", AccountKind::program, Role::administrator, {}, hash_key(kKey), kNow});
        book.accounts.push_back({"ada", AccountKind::person, Role::observer, {}, "no password", kNow});
        const std::string session = R"({"format":1,"sessions":[{"hash":")" + hash_key(kToken) + R"(","account":"ada","stamp":")" +
                                    book.accounts[1].stamp() + R"(","began_s":)" + std::to_string(kNow) + R"(,"used_s":)" + std::to_string(kNow) + "}]}";
        const bool ready = replace_private_file(accounts_path(folder_), text_of(book)) && replace_private_file(access_.sessions_path(), session) && access_.load();
        if (!ready) std::abort();
        files_ = Assets(folder_ + "/files", folder_ + "/files");
    }
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;
    ~Site() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    Access& access() { return access_; }
    const Assets& files() const { return files_; }

private:
    std::string make_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "us-fuzz-http-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        return folder_ = name;
    }
    std::string folder_;
    Access access_;
    Assets files_{"", ""};
};

std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

void must(bool holds) {
    if (!holds) std::abort();
}

bool holds_token(std::string_view cookies) {
    for (const std::string_view one : cookies_named(cookies, kCookie)) {
        if (one == kToken) return true;
    }
    return false;
}

void look_for_caller(Site& site, const Request& request) {
    const std::string_view authorization = view_of(request[http::field::authorization]);
    const std::string_view cookies = view_of(request[http::field::cookie]);
    const Caller caller = site.access().caller_of(authorization, cookies, kCookie, kNow);
    const bool program = authorization == "Bearer " + std::string(kKey);
    const bool person = !authorization.starts_with("Bearer ") && holds_token(cookies);
    must(caller.role == (program ? Role::administrator : person ? Role::observer : Role::none));
    must(caller.role == Role::none || site.access().still(caller, kNow));
}

bool is_for_strangers(const std::string& path) {
    static constexpr std::array<std::string_view, 8> kOpen = {"/login", "/logout", "/authority.crt", "/assets/base.css", "/assets/icon.svg",
                                                             "/health", "/health/ready", "/health/live"};
    for (const std::string_view one : kOpen) {
        if (path == one) return true;
    }
    return path == "/api/v1/health";
}

void look_at_target(const Site& site, const Request& request) {
    const auto target = parse_target(view_of(request.target()));
    if (!target) return;
    must(!target->path.empty() && target->path.front() == '/');
    for (const char c : target->path) must(static_cast<unsigned char>(c) >= 0x20);
    must((least_role(target->asked) == Role::none) == is_for_strangers(target->path));
    const auto* page = std::get_if<PageFile>(&target->asked);
    const auto* novnc = std::get_if<NovncFile>(&target->asked);
    for (const auto& asset : {page != nullptr ? site.files().page(page->name) : std::nullopt, novnc != nullptr ? site.files().novnc(novnc->path) : std::nullopt}) {
        must(!asset || asset->body == "inside");
    }
    const auto* terminal = std::get_if<TerminalPage>(&target->asked);
    must(terminal == nullptr || is_terminal_name(terminal->terminal));
    const auto next = target->query.find("next");
    if (next == target->query.end()) return;
    const std::string goes = safe_next(next->second);
    must(goes.front() == '/' && !goes.starts_with("//") && goes.find_first_of("\\\r\n :") == std::string::npos);
}

void look_at_body(const Request& request) {
    must(request.body().size() <= limits::kBodyBytes);
    const auto form = parse_form(request.body());
    if (form) must(form->size() <= request.body().size());
    const auto act = parse_act(request.body());
    if (!act) return;
    must(act->least >= Role::observer && act->arguments.size() <= kMostArguments);
    for (const std::string& one : act->arguments) must(!one.starts_with("by="));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Site site;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    boost::system::error_code error;
    // One after the other, as over one connection.
    for (int count = 0; count < 8 && !rest.empty(); ++count) {
        http::request_parser<http::string_body> parser;
        parser.header_limit(limits::kHeaderBytes);
        parser.body_limit(limits::kBodyBytes);
        parser.eager(true);
        while (!parser.is_done()) {
            const std::size_t used = parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
            must(used <= rest.size());
            rest.remove_prefix(used);
            if (error || (used == 0 && !parser.is_done())) return 0;
        }
        const Request request = parser.release();
        look_for_caller(site, request);
        look_at_target(site, request);
        look_at_body(request);
    }
    return 0;
}
