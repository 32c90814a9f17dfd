// See guest_image.hpp.
#include "manager/adapters/hypervisor/guest_image.hpp"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kOwnCommandLine = "console=ttyS0 quiet panic=-1 oops=panic";
constexpr const char* kRemedy = "; make the image with nodes/image/build-image";

Result<std::string> promised_digest(const std::string& manifest, const std::string& name) {
    auto text = read_file(manifest);
    if (!text) return failure(ErrorCode::not_found, text.error().message + ", so " + name + " cannot be verified" + kRemedy);
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    const auto digests = json.is_object() ? json.find("sha256") : json.end();
    if (json.is_object() && digests != json.end() && digests->is_object() && digests->contains(name) && digests->at(name).is_string()) {
        return digests->at(name).get<std::string>();
    }
    return failure(ErrorCode::not_found, manifest + " does not name " + name + ", so it cannot be verified" + kRemedy);
}

}  // namespace

Result<std::string> GuestImage::file(const std::string& name) const {
    std::error_code problem;
    const auto real = std::filesystem::canonical(directory_ + "/" + name, problem);
    if (!problem) return real.string();
    return failure(ErrorCode::not_found, "the guest image has no " + directory_ + "/" + name + ": " + problem.message() +
                                             "; make it with nodes/image/build-image");
}

Result<KnownFile> GuestImage::verified(const std::string& name) const {
    const auto path = file(name);
    if (!path) return tl::unexpected(path.error());
    // The manifest beside the real file: a newer image has one of its own.
    const auto promised = promised_digest(std::filesystem::path(*path).parent_path().string() + "/manifest.json", name);
    if (!promised) return tl::unexpected(promised.error());
    auto digest = digests_.of(*path);
    if (!digest) return tl::unexpected(digest.error());
    if (*digest != *promised) {
        return failure(ErrorCode::damaged, *path + " is not what its manifest says: it has sha256 " + *digest + " and should have " + *promised +
                                               "; make it anew with nodes/image/build-image --force");
    }
    return KnownFile{*path, std::move(*digest)};
}

Result<std::string> GuestImage::command_line() const {
    auto text = read_file(directory_ + "/kernel-command-line");
    if (!text && text.error().code == ErrorCode::not_found) return std::string(kOwnCommandLine);
    if (!text) return text;
    while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
    return text;
}

}  // namespace understudy::manager
