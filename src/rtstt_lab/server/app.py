"""The web application: what is common to all requests; the sessions' own routes are in `routes`."""

from __future__ import annotations

import logging
from typing import Final as Constant

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from rtstt_lab.errors import (
    AudioError,
    AuthenticationError,
    ChunkTooLargeError,
    LifecycleError,
    LimitError,
    ModelError,
    OriginError,
    OverloadedError,
    ProtocolError,
    RtsttError,
    SessionNotFoundError,
    StorageError,
    UsageError,
)
from rtstt_lab.server import link, routes
from rtstt_lab.server.gate import Gate
from rtstt_lab.server.openapi import Problem, answers, describe
from rtstt_lab.server.quotas import Quotas
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.texts import preferred_language

_STATUS: Constant = (
    (OriginError, 403),
    (AuthenticationError, 401),
    (SessionNotFoundError, 404),
    (LifecycleError, 409),
    (ChunkTooLargeError, 413),
    (OverloadedError, 503),
    (LimitError, 429),
    (UsageError | ModelError | ProtocolError | AudioError, 422),
    (StorageError, 507),
)
_LOOPBACK_ORIGIN: Constant = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"

log = logging.getLogger(__name__)


def make_app(registry: SessionRegistry, quotas: Quotas | None = None) -> FastAPI:
    """The application of one server.

    Args:
        registry: its sessions.
        quotas: what each address has had; of its own by default.
    """
    # No pages of the framework: they would load scripts from elsewhere.
    # No redirects: they would name whatever host the request named.
    app = FastAPI(title="rtstt_lab", version="1", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.registry = registry
    app.state.quotas = quotas = quotas or Quotas(registry.settings.limits)
    app.include_router(routes.router)
    app.add_exception_handler(RtsttError, _problem)
    app.add_exception_handler(Exception, _internal)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_middleware(Gate, quotas=quotas, refusal=refusal)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(registry.settings.allowed_origins),
        allow_origin_regex=_LOOPBACK_ORIGIN,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    app.add_api_route(
        "/healthz",
        _health,
        methods=["GET"],
        responses=answers(200),
        openapi_extra={"security": []},
    )
    app.add_api_route(
        "/metrics",
        _metrics,
        methods=["GET"],
        response_class=Response,
        responses=answers(200, 401, body={"content": {CONTENT_TYPE_LATEST: {}}}),
    )
    describe(app)
    return app


def refusal(error: RtsttError) -> ASGIApp:
    """The application that refuses whatever it is asked: with its status, or in words before a close."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await link.accept(socket)
            await link.refuse(socket, error)
        elif scope["type"] == "http":
            await (await _problem(Request(scope, receive), error))(scope, receive, send)

    return refuse


async def _health() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


async def _metrics(request: Request) -> Response:
    """Prometheus' text format; with the API token."""
    registry = routes.registry_of(request)
    routes.require_api_token(request)
    return Response(registry.telemetry.text(), media_type=CONTENT_TYPE_LATEST)


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, RtsttError):
        raise error
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    return _answer(request, error, status)


async def _framework(_: Request, error: Exception) -> Response:
    """The framework's own refusals: no such route, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    return _encoded(Problem("http", str(error.detail)), error.status_code, dict(error.headers or {}))


async def _parameters(request: Request, error: Exception) -> Response:
    """A path or query parameter that is no value."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    wrong = UsageError(
        "query_malformed", name=first["loc"][-1], value=str(first.get("input"))[:80], reason=first["msg"]
    )
    return _answer(request, wrong, 422)


async def _internal(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    answer = _answer(request, RtsttError("internal"), 500)
    # The HTTP server hangs up after such an error. Unless it is told so, a client may send its next
    # request over the same connection, and gets no answer.
    answer.headers["Connection"] = "close"
    return answer


def _answer(request: Request, error: RtsttError, status: int) -> Response:
    language = preferred_language({"LANG": request.headers.get("accept-language", "")})
    wait_s = error.retry_after_s if isinstance(error, LimitError) else None
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if wait_s is not None:
        headers["Retry-After"] = str(max(1, round(wait_s)))
    return _encoded(Problem(error.key, error.localized(language), wait_s), status, headers)


def _encoded(problem: Problem, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(problem), status, headers, media_type="application/json")
