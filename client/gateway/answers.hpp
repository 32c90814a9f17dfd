// Turns requests into answers: pages, files, login, the JSON API. Belongs to the gateway's thread.
#pragma once

#include "client/gateway/network.hpp"
#include "client/gateway/server.hpp"
#include "client/gateway/target.hpp"

namespace understudy::gateway {

/// What the cookie, or the key as a bearer token, lets a request do.
[[nodiscard]] Right right_of(const Server& server, const Request& request);

/// Whether a request comes from one of our own pages, or from no browser at all.
[[nodiscard]] bool is_same_origin(const Server& server, const Request& request);

/// Whether the value of a Host header means the machine the browser itself runs on. What a browser is told to
/// remember of it would hold for every other program there as well.
[[nodiscard]] bool is_this_machine(std::string_view host);

/// The answer to anything but a WebSocket. Never fails.
[[nodiscard]] asio::awaitable<Response> answer(Server& server, const Request& request);

/// A whole answer with all security headers.
[[nodiscard]] Response make_answer(const Request& request, http::status status, std::string body, const std::string& type);

/// A short text answer with all security headers.
[[nodiscard]] Response plain_answer(const Request& request, http::status status, const std::string& text);

}  // namespace understudy::gateway
