// One connection of a browser, with TLS or without: what HTTP and WebSocket read from and write to. The library
// has one type for each; this is both, and it does not show which operation of which kind waits for it, so that what
// the library builds upon a stream is compiled once and not for every combination. Belongs to the gateway's thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/tcp_stream.hpp>

namespace understudy::gateway {

/// What waits for an operation of a line: told once, or destroyed untold. Move-only.
class Completion {
public:
    using executor_type = boost::beast::tcp_stream::executor_type;

    /// `otherwise`: where `handler` is called if it has no executor of its own.
    template <class Handler>
    Completion(Handler handler, const executor_type& otherwise)
        : waiting_(std::make_unique<Waiting<Handler>>(std::move(handler), otherwise)) {}

    [[nodiscard]] executor_type get_executor() const noexcept { return waiting_->executor; }

    void operator()(boost::system::error_code error, std::size_t bytes) {
        Base& waiting = *waiting_;
        waiting.tell(std::move(waiting_), error, bytes);
    }

private:
    struct Base {
        explicit Base(executor_type where) : executor(std::move(where)) {}
        virtual ~Base() = default;
        virtual void tell(std::unique_ptr<Base> self, boost::system::error_code error, std::size_t bytes) = 0;
        executor_type executor;
    };

    template <class Handler>
    struct Waiting final : Base {
        Waiting(Handler what, const executor_type& otherwise)
            : Base(boost::asio::get_associated_executor(what, otherwise)), handler(std::move(what)) {}
        void tell(std::unique_ptr<Base> self, boost::system::error_code error, std::size_t bytes) override {
            Handler now = std::move(handler);
            self.reset();  // its memory is free before the next operation begins
            now(error, bytes);
        }
        Handler handler;
    };

    std::unique_ptr<Base> waiting_;
};

/// The first buffers of a sequence, as many as one call of the system takes along.
template <class Buffer>
class FirstBuffers {
public:
    using value_type = Buffer;
    using const_iterator = const Buffer*;

    template <class Buffers>
    explicit FirstBuffers(const Buffers& all) {
        const auto end = boost::asio::buffer_sequence_end(all);
        for (auto next = boost::asio::buffer_sequence_begin(all); next != end && count_ < buffers_.size(); ++next) {
            if (const Buffer buffer(*next); buffer.size() > 0) buffers_[count_++] = buffer;
        }
    }

    [[nodiscard]] const_iterator begin() const { return buffers_.data(); }
    [[nodiscard]] const_iterator end() const { return buffers_.data() + count_; }

private:
    std::array<Buffer, 8> buffers_;
    std::size_t count_ = 0;
};

class Line {
public:
    using executor_type = Completion::executor_type;

    /// Without TLS.
    explicit Line(boost::beast::tcp_stream plain);
    /// With TLS; the context lives on as long as the line. Nothing is read or written before handshake().
    Line(boost::beast::tcp_stream plain, boost::asio::ssl::context& context);
    Line(Line&&) noexcept;
    Line& operator=(Line&&) noexcept;
    ~Line();

    [[nodiscard]] bool is_secure() const;

    /// True if the other side got as far as that within kHandshakeTime. One that speaks plain HTTP is told to put
    /// https:// in front. Precondition: is_secure().
    [[nodiscard]] boost::asio::awaitable<bool> handshake();

    /// Says that nothing more comes, and hears the same within kGoodbyeTime where TLS asks for it.
    [[nodiscard]] boost::asio::awaitable<void> say_goodbye();

    [[nodiscard]] executor_type get_executor() { return next_layer().get_executor(); }
    /// The socket, with its time limits.
    [[nodiscard]] boost::beast::tcp_stream& next_layer();
    [[nodiscard]] const boost::beast::tcp_stream& next_layer() const;

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return initiated(FirstBuffers<boost::asio::mutable_buffer>(buffers), std::forward<Token>(token));
    }

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return initiated(FirstBuffers<boost::asio::const_buffer>(buffers), std::forward<Token>(token));
    }

private:
    struct Streams;

    template <class Buffer, class Token>
    auto initiated(const FirstBuffers<Buffer>& few, Token&& token) {
        return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
            [this, few](auto handler) { begin(few, Completion(std::move(handler), get_executor())); }, token);
    }

    /// Reads into buffers that may be written, and writes those that may not.
    void begin(const FirstBuffers<boost::asio::mutable_buffer>& buffers, Completion done);
    void begin(const FirstBuffers<boost::asio::const_buffer>& buffers, Completion done);

    std::unique_ptr<Streams> streams_;  ///< never empty but after a move
};

}  // namespace understudy::gateway
