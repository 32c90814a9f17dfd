// The HTTP API, version 1, as pages/openapi.json describes it: questions as GET, acts as POST, figures for
// Prometheus, health for whoever watches this process. Belongs to the gateway's thread.
#pragma once

#include <optional>

#include "client/gateway/answers.hpp"

namespace understudy::gateway {

/// The answer to a question of the API; nothing if the target is no such question.
[[nodiscard]] asio::awaitable<std::optional<Response>> answer_api(Server& server, const Request& request, Target target, Right right);

/// The answer to POST /api/v1/act.
[[nodiscard]] asio::awaitable<Response> answer_act(Server& server, const Request& request, Right right);

/// For whoever has no right at all, with the way to get one.
[[nodiscard]] Response not_logged_in(const Request& request);

}  // namespace understudy::gateway
