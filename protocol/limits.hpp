// Bounds that everything from outside must keep, checked before a length is believed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace understudy::limits {

inline constexpr std::size_t kMessageBytes = 1024 * 1024;  ///< one control message, header included
inline constexpr std::uint32_t kArrayItems = 4096;         ///< items of one list
inline constexpr std::uint32_t kMapItems = 256;            ///< keys of one map
inline constexpr std::uint32_t kStringBytes = 512 * 1024;  ///< one text (admin views are the largest)
inline constexpr std::size_t kDepth = 16;                  ///< nesting
inline constexpr std::size_t kTicketBytes = 2048;          ///< one ticket in its text form
inline constexpr std::size_t kNameBytes = 128;             ///< a name given by a person
inline constexpr std::size_t kDoorLineBytes = 3072;        ///< first line of a stream

}  // namespace understudy::limits
