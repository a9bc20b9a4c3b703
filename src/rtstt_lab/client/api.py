"""The REST half of ``rtstt.v1``: sessions are made, looked at and fetched over HTTP."""

from __future__ import annotations

import ipaddress
import os
import ssl
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec

from rtstt_lab.client.refusals import refusal
from rtstt_lab.client.tls import tls_context, unreachable
from rtstt_lab.errors import ServiceError, UsageError
from rtstt_lab.protocol.messages import BlockReceipt, CreatedSession, CreateSession, RenewToken
from rtstt_lab.texts import preferred_language

_SESSIONS: Final = "/api/streaming/sessions"
_KEPT_S: Final = 2.0
"""Less than a server keeps an idle connection: a request never meets its end."""


def is_this_machine(url: str) -> bool:
    """Whether the address is a loopback one, which no proxy of the environment can reach."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_http(url: str) -> bool:
    """Whether this can be the address of a server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, or a port beyond 65535
        return False


def websocket_url(url: str, path: str) -> str:
    """The WebSocket's address below a server's: ``https://host/prefix`` → ``wss://host/prefix/path``.

    Args:
        url: of the server, ``http`` or ``https``; a path in it is kept (servers behind a proxy have one).
        path: absolute, as `CreatedSession` names it.
    """
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))


class SessionApi:
    """Calls of one server; an async context manager.

    Args:
        url: of the server, ``http`` or ``https``, with the prefix that a proxy put before it.
        token: opens the server; sent in the ``Authorization`` header only.
        tls: of `tls_context`; made from the machine's own authorities if it is not given.
        timeout_s: of each call.

    Raises:
        UsageError: the address is none of HTTP.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        if not is_http(url):
            raise UsageError("server_url", url=url[:200])
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            headers={
                "Accept-Language": preferred_language(os.environ),
                **({"Authorization": f"Bearer {token}"} if token else {}),
            },
            timeout=timeout_s,
            limits=httpx.Limits(keepalive_expiry=_KEPT_S),
            verify=tls or tls_context(url) or True,
            trust_env=not is_this_machine(url),
        )

    async def create(
        self,
        *,
        model: str | None = None,
        language: str | None = None,
        prompt: str | None = None,
        origin: str | None = None,
    ) -> CreatedSession:
        """Makes a session (L2).

        Args:
            model: the server's default if not given.
            language: ISO 639-1 code; ``None`` is detection.
            prompt: words that are likely to occur.
            origin: of the page that is going to use it; pages of other origins then may not (S3).

        Raises:
            ServiceError: no connection, or refused: not authenticated, over a limit, overloaded.
            LanguageError: a language that the model does not know.
            ModelError: a model that the server does not have.
        """
        answer = await self._post(
            _SESSIONS, CreateSession(model=model, language=language, prompt=prompt, origin=origin)
        )
        try:
            return msgspec.json.decode(answer.content, type=CreatedSession)
        except msgspec.DecodeError as error:
            raise ServiceError("server_foreign", url=self.url, reason=str(error)[:200]) from error

    async def status(self, session_id: str) -> dict[str, Any]:
        """State, statistics and metrics of a session; of a finished one what is left of it."""
        answer: dict[str, Any] = (await self._call("GET", f"{_SESSIONS}/{session_id}")).json()
        return answer

    async def transcript(self, session_id: str, kind: str = "txt") -> str:
        """What has been recognised, at any time.

        Args:
            session_id: of the session.
            kind: txt, json, srt, vtt or csv.
        """
        answer = await self._call("GET", f"{_SESSIONS}/{session_id}/transcript", params={"format": kind})
        return answer.text

    async def renew_token(self, session_id: str, origin: str | None = None) -> str:
        """A fresh token of a session, for a page that was loaded again; takes the server's own token.

        Args:
            session_id: of the session.
            origin: of that page, which may use the session from now on.
        """
        answer = await self._post(f"{_SESSIONS}/{session_id}/token", RenewToken(origin))
        return str(answer.json()["session_token"])

    async def send_block(
        self, session_id: str, body: bytes, *, token: str, after: int, new: bool
    ) -> BlockReceipt:
        """Brings chunks and buttons over HTTP, and asks what is new (R3).

        Args:
            session_id: of the session.
            body: records, see `encode_block`.
            token: of the session.
            after: the highest numbered event applied.
            new: the client was not answered before in this session.

        Raises:
            ServiceError: no connection, or an answer that is none.
            LimitError: over a limit, or the server takes nothing at the moment.
            AuthenticationError: the token is not valid.
            SessionNotFoundError: there is no such session.
        """
        answer = await self._call(
            "POST",
            f"{_SESSIONS}/{session_id}/blocks",
            params={"after": after, **({"new": "true"} if new else {})},
            content=body,
            headers={"Content-Type": "application/octet-stream", "Authorization": f"Bearer {token}"},
        )
        try:
            return msgspec.json.decode(answer.content, type=BlockReceipt)
        except msgspec.DecodeError as error:
            raise ServiceError("server_foreign", url=self.url, reason=str(error)[:200]) from error

    async def delete(self, session_id: str) -> None:
        """Aborts a live session without a file, or forgets a finished one."""
        await self._call("DELETE", f"{_SESSIONS}/{session_id}")

    async def close(self) -> None:
        """Gives the connections back."""
        await self._http.aclose()

    async def __aenter__(self) -> SessionApi:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _post(self, path: str, body: CreateSession | RenewToken) -> httpx.Response:
        return await self._call(
            "POST", path, content=msgspec.json.encode(body), headers={"Content-Type": "application/json"}
        )

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = await self._http.request(method, self.url + path, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(self.url, error) from error
        if answer.is_error:
            raise refusal(answer.content, answer.status_code)
        return answer
