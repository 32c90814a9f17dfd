// See image_file.hpp.
#include "client/rfb/image_file.hpp"

#include <png.h>

#include <fstream>

#include "protocol/codec.hpp"

namespace understudy::client {

Result<> write_image(const std::string& path, const Picture& picture) {
    Bytes rgb;
    rgb.reserve(picture.pixels.size() * 3);
    for (const std::uint32_t pixel : picture.pixels) {
        for (const int shift : {16, 8, 0}) rgb.push_back(static_cast<std::uint8_t>(pixel >> shift));
    }
    if (path.ends_with(".ppm")) {
        std::ofstream file(path, std::ios::binary);
        file << "P6\n" << picture.width << " " << picture.height << "\n255\n";
        file.write(reinterpret_cast<const char*>(rgb.data()), static_cast<std::streamsize>(rgb.size()));
        file.close();
        if (!file) return failure(ErrorCode::failed, "cannot write " + path);
        return {};
    }
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(picture.width);
    image.height = static_cast<png_uint_32>(picture.height);
    image.format = PNG_FORMAT_RGB;
    if (png_image_write_to_file(&image, path.c_str(), 0, rgb.data(), 0, nullptr) == 0) {
        return failure(ErrorCode::failed, "cannot write " + path + ": " + image.message);
    }
    return {};
}

}  // namespace understudy::client
