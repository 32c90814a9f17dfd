// The HTTP API, version 1, as pages/openapi.json describes it: questions as GET, acts as POST, figures for
// Prometheus, health for whoever watches this process. Belongs to the gateway's thread.
#pragma once

#include <optional>

#include "client/gateway/answers.hpp"

namespace understudy::gateway {

/// The answer to a question of the API; nothing if the target is no such question.
[[nodiscard]] asio::awaitable<std::optional<Response>> answer_api(Server& server, const Call& call, Target target);

/// The answer to POST /api/v1/act. Whoever may look gets here; what the act itself needs is decided inside.
[[nodiscard]] asio::awaitable<Response> answer_act(Server& server, const Call& call);

/// For whoever has no right at all, with the way to get one.
[[nodiscard]] Response not_logged_in(const Request& request);

/// For whoever is known and may not. `why`: what is missing.
[[nodiscard]] Response not_allowed(const Request& request, const std::string& why);

}  // namespace understudy::gateway
