// Bounds of the gateway: what one browser may cost. Plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace understudy::gateway::limits {

inline constexpr std::uint32_t kHeaderBytes = 16 * 1024;   ///< request line and headers
inline constexpr std::uint64_t kBodyBytes = 64 * 1024;     ///< an act's arguments are far smaller
inline constexpr std::size_t kEventBytes = 4 * 1024;       ///< a message from a page
inline constexpr std::size_t kStreamMessageBytes = 1024 * 1024;  ///< input and clipboard from a terminal page
inline constexpr std::size_t kSpliceBytes = 64 * 1024;     ///< on the way in each direction of a stream
inline constexpr std::size_t kQueuedEvents = 64;           ///< for one page that does not read
inline constexpr std::size_t kTerminals = 256;             ///< attached at the same time
inline constexpr std::size_t kTerminalsOfAccount = 32;     ///< of those, by one account
inline constexpr std::size_t kOpenCalls = 256;             ///< acts waiting for the manager
inline constexpr std::size_t kOpenLogIns = 16;             ///< passwords waiting to be compared, a tenth of a second each
inline constexpr double kNotesOfStrangers = 60;            ///< audit entries at once; one per second is added
inline constexpr std::size_t kStaticFileBytes = 4 * 1024 * 1024;

inline constexpr std::chrono::seconds kHandshakeTime{5};   ///< from the connection to the end of the TLS handshake
inline constexpr std::chrono::seconds kGoodbyeTime{1};     ///< for TLS to say goodbye
inline constexpr std::chrono::seconds kRequestTime{15};    ///< from the first byte to the whole request
inline constexpr std::chrono::seconds kIdleTime{60};       ///< between two requests of one connection
inline constexpr std::chrono::seconds kAnswerTime{30};     ///< to take an answer
inline constexpr std::chrono::seconds kSilence{30};        ///< of a WebSocket, pings included
inline constexpr std::chrono::seconds kCallTime{15};       ///< for an act at the manager
inline constexpr std::chrono::seconds kDoorTime{5};        ///< to connect to a door and be let in
inline constexpr std::chrono::seconds kRedirectTime{5};    ///< a stream waits this long for somewhere to go

}  // namespace understudy::gateway::limits
