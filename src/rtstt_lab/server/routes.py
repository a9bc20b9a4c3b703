"""The sessions over HTTP and WebSocket; each route checks who asks, then calls the registry."""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass
from typing import Annotated, Literal, TypeVar
from typing import Final as Constant

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from rtstt_lab.errors import AuthenticationError, MalformedFrameError, OriginError, RtsttError
from rtstt_lab.protocol.blocks import last_receipt
from rtstt_lab.protocol.messages import MAX_BLOCK_BYTES, CreateSession, RenewToken
from rtstt_lab.server import auth, link
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.limits import read_body
from rtstt_lab.server.openapi import answers, content
from rtstt_lab.server.past import Suspended, Tombstone
from rtstt_lab.server.quotas import Quotas
from rtstt_lab.server.registry import Known, SessionRegistry

_Body = TypeVar("_Body")
_MEDIA_TYPES: Constant = {
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}


def registry_of(connection: HTTPConnection) -> SessionRegistry:
    """The sessions of the server that was asked."""
    registry: SessionRegistry = connection.app.state.registry
    return registry


def check_origin(connection: HTTPConnection) -> None:
    """Turns pages from elsewhere away (S3).

    Raises:
        OriginError: the request comes from such a page.
        SessionNotFoundError: it names a session by what is no UUID.
    """
    registry, origin = registry_of(connection), connection.headers.get("origin")
    session_id = connection.path_params.get("session_id")
    pages = registry.pages(session_id) if origin is not None and session_id is not None else ()
    if not auth.origin_allowed(
        origin,
        connection.headers.get("host"),
        registry.settings.allowed_origins,
        pages,
    ):
        raise OriginError("origin_refused", origin=(origin or "")[:200])


def require_api_token(request: Request) -> None:
    """Lets only the server's owner in.

    Raises:
        AuthenticationError: without the API token.
    """
    if not registry_of(request).is_owner(auth.bearer(request.headers.get("authorization"))):
        raise AuthenticationError("authentication")


router: Constant = APIRouter(prefix="/api/streaming/sessions", tags=["sessions"])
_checked: Constant = [Depends(check_origin)]


@router.post(
    "",
    status_code=201,
    dependencies=_checked,
    response_class=Response,
    responses=answers(201, 401, 413, 422, 503, 507, body=content("CreatedSession")),
    openapi_extra={"requestBody": {"required": False, **content("CreateSession")}},
)
async def create_session(request: Request) -> Response:
    """Makes a session; its WebSocket is at ``ws_path``."""
    require_api_token(request)
    quotas: Quotas = request.app.state.quotas
    quotas.count("new_sessions", request.client.host if request.client else None, time.monotonic())
    wanted = _parse(await _body(request) or b"{}", CreateSession)
    return _json(await registry_of(request).create(wanted), 201)


@router.get(
    "",
    dependencies=_checked,
    response_class=Response,
    responses=answers(200, 401, 422, 507, body=content("Sessions")),
)
async def list_sessions(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Sessions: live ones, finished ones of the last day, and for the API token all saved ones.

    Newest first; a session's own token shows that session only.
    """
    registry, token = registry_of(request), _token(request)
    page = slice(offset, offset + limit)
    sessions = registry.visible(token)
    saved = await registry.history() if registry.is_owner(token) else []
    return _json(
        {
            "sessions": [_described(session) for session in sessions[page]],
            "sessions_total": len(sessions),
            "history": saved[page],
            "history_total": len(saved),
        }
    )


@router.get(
    "/{session_id}",
    dependencies=_checked,
    response_class=Response,
    responses=answers(200, 401, 404, 422, body=content("SessionStatus")),
)
async def get_session(request: Request, session_id: str) -> Response:
    """State, statistics and figures; of a finished session what stays of it for a day."""
    return _json(_described(registry_of(request).authorise(session_id, _token(request))))


@router.post(
    "/{session_id}/token",
    status_code=201,
    dependencies=_checked,
    response_class=Response,
    responses=answers(201, 401, 404, 413, 422, 503, 507, body=content("Renewed")),
    openapi_extra={"requestBody": {"required": False, **content("RenewToken")}},
)
async def new_session_token(request: Request, session_id: str) -> Response:
    """A fresh session token, as for a page that was loaded again."""
    require_api_token(request)
    wanted = _parse(await _body(request) or b"{}", RenewToken)
    token = await registry_of(request).renew_token(session_id, wanted.origin)
    return _json({"session_token": token}, 201)


@router.post(
    "/{session_id}/blocks",
    status_code=202,
    dependencies=_checked,
    response_class=Response,
    responses=answers(202, 401, 404, 413, 422, 503, 507, body=content("BlockReceipt")),
    openapi_extra={
        "requestBody": {
            "required": False,
            "description": "Records one behind the other: an unsigned 32-bit little-endian length, JSON of "
            "that length (an AudioHeader or a ClientControl), and after an AudioHeader its audio. Without "
            "any it only asks what is new.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_block(
    request: Request,
    session_id: str,
    after: Annotated[int, Query(ge=0, le=2**53 - 1)] = 0,
    new: bool = False,
) -> Response:
    """Takes chunks and buttons where no WebSocket gets through; tells marks and events since ``after``."""
    registry, token = registry_of(request), _token(request)
    registry.authorise(session_id, token)
    body = await read_body(request.stream(), MAX_BLOCK_BYTES)
    found = registry.authorise(session_id, token)
    if isinstance(found, Tombstone):
        status = found.status
        receipt = last_receipt(found.last_event, status.phase.value, status.received, after)
    else:
        host = await registry.host_or_reopen(session_id)
        receipt = host.receive_block(body, token=token or "", after=after, new=new)
    return Response(msgspec.json.encode(receipt), 202, media_type="application/json")


@router.delete(
    "/{session_id}",
    status_code=204,
    dependencies=_checked,
    response_class=Response,
    responses=answers(204, 401, 404, 422, 503, 507),
)
async def delete_session(request: Request, session_id: str, file: bool = False) -> Response:
    """Ends a live session without a file, or forgets a finished one; ``file=true``: its transcript, too."""
    await registry_of(request).delete(session_id, _token(request), file=file)
    return Response(status_code=204)


@router.get(
    "/{session_id}/transcript",
    dependencies=_checked,
    response_class=Response,
    responses=answers(200, 401, 404, 422, 507, body={"content": {key: {} for key in _MEDIA_TYPES.values()}}),
)
async def get_transcript(
    request: Request,
    session_id: str,
    format: Literal["txt", "json", "srt", "vtt", "csv"] = "txt",  # noqa: A002
) -> Response:
    """What is final so far, at any time; of a finished session the saved text."""
    body = await registry_of(request).transcript(session_id, _token(request), format)
    return Response(body, media_type=_MEDIA_TYPES[format])


@router.websocket("/{session_id}/ws")
async def session_link(socket: WebSocket, session_id: str) -> None:
    """The session: `rtstt.v1`, from ``client:hello`` on."""
    await link.accept(socket)
    try:
        check_origin(socket)
        registry = registry_of(socket)
        if host := registry.host(session_id):
            await link.serve_link(socket, host)
            return
        registry.known(session_id)
        hello = await link.hello(socket)
        found = registry.authorise(session_id, hello.token)
        if isinstance(found, Tombstone):
            await link.tell_last(socket, found.last_event, 1000, "completed")
        else:
            await link.serve_link(socket, await registry.host_or_reopen(session_id), hello)
    except RtsttError as error:
        await link.refuse(socket, error)


@router.websocket("/{session_id}/events")
async def session_events(socket: WebSocket, session_id: str, after: Annotated[int, Query(ge=0)] = 0) -> None:
    """The session for a viewer, read only; it says ``client:hello`` first, too."""
    await link.accept(socket)
    try:
        check_origin(socket)
        registry = registry_of(socket)
        registry.known(session_id)
        found = registry.authorise(session_id, (await link.hello(socket)).token)
        match found:
            case SessionHost():
                await link.serve_viewer(socket, found, after)
            case Suspended():  # looking at it doesn't take it up
                frames = await registry.events(session_id)
                await link.tell_all(socket, frames[after:], 1000, "suspended")
            case Tombstone():
                await link.tell_last(socket, found.last_event, 1000, "completed")
    except RtsttError as error:
        await link.refuse(socket, error)


async def _body(request: Request) -> bytes:
    return await read_body(request.stream(), registry_of(request).settings.limits.max_body_bytes)


def _token(request: Request) -> str | None:
    return auth.bearer(request.headers.get("authorization"))


def _described(session: Known) -> dict[str, object]:
    status = session.engine.status() if isinstance(session, SessionHost) else session.status
    return {field.name: getattr(status, field.name) for field in fields(status)} | {
        "metadata": session.metadata
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(_explicit(value), enc_hook=str), status, media_type="application/json"
    )


def _explicit(value: object) -> object:
    """With all fields: on the WebSocket defaults are left off, here a reader should see them."""
    if isinstance(value, msgspec.Struct):
        return {name: _explicit(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value):
        return {field.name: _explicit(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _explicit(part) for name, part in value.items()}
    return [_explicit(part) for part in value] if isinstance(value, list | tuple) else value


def _parse(body: bytes, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedFrameError("body_malformed", reason=str(error)[:200]) from error
