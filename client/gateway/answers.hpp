// Turns requests into answers: pages, files, login, the JSON API. Belongs to the gateway's thread.
#pragma once

#include <optional>
#include <string>

#include "client/gateway/network.hpp"
#include "client/gateway/server.hpp"
#include "client/gateway/target.hpp"

namespace understudy::gateway {

/// A request, and who it is that asks.
struct Call {
    const Request& request;
    Caller caller;
    std::string address;  ///< of the other side
};

/// The name of our cookie: browsers take one of the first name only from TLS, for this host alone.
[[nodiscard]] std::string_view cookie_name(const Server& server);

/// Who asks, by cookie or key.
[[nodiscard]] Caller caller_of(Server& server, const Request& request);

/// What must be said instead of what was asked for, because the caller may not have it; nothing if he may. The one
/// place where it is decided, for pages, questions, acts and WebSockets alike.
[[nodiscard]] std::optional<Response> refusal_of(const Server& server, const Call& call, const Target& target);

/// Whether a request comes from one of our own pages, or from no browser at all.
[[nodiscard]] bool is_same_origin(const Server& server, const Request& request);

/// Whether the value of a Host header means the machine the browser itself runs on. What a browser is told to
/// remember of it would hold for every other program there as well.
[[nodiscard]] bool is_this_machine(std::string_view host);

/// The answer to anything but a WebSocket. Never fails.
[[nodiscard]] asio::awaitable<Response> answer(Server& server, const Call& call);

/// A whole answer with all security headers.
[[nodiscard]] Response make_answer(const Request& request, http::status status, std::string body, const std::string& type);

/// A short text answer with all security headers.
[[nodiscard]] Response plain_answer(const Request& request, http::status status, const std::string& text);

}  // namespace understudy::gateway
