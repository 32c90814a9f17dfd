// ZRLE as in RFC 6143, section 7.7.6. One decoder per connection: its zlib stream never starts anew.
// Belongs to the thread of its connection.
#pragma once

#include <memory>

#include "client/rfb/picture.hpp"
#include "protocol/codec.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

class ZrleDecoder {
public:
    ZrleDecoder();
    ZrleDecoder(ZrleDecoder&&) noexcept;
    ZrleDecoder& operator=(ZrleDecoder&&) noexcept;
    ~ZrleDecoder();

    /// Draws one rectangle. Precondition: `area` lies inside the picture. Errors: `damaged`.
    [[nodiscard]] Result<> decode(BytesView compressed, const Area& area, Picture& picture);

private:
    struct Stream;
    std::unique_ptr<Stream> stream_;
};

}  // namespace understudy::client
