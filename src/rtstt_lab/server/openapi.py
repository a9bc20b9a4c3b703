"""The OpenAPI document: bodies as the wire's own types, each refusal as what it is.

FastAPI writes it from the routes. Bodies are read and written by msgspec: what they are is added here.
"""

from __future__ import annotations

from typing import Any
from typing import Final as Constant

import msgspec
from fastapi import FastAPI

from rtstt_lab.engine.status import SessionStatus
from rtstt_lab.protocol.messages import BlockReceipt, CreatedSession, CreateSession, RenewToken
from rtstt_lab.transcript import TranscriptHeader

_SCHEMAS: Constant = "#/components/schemas/"
_JSON: Constant = "application/json"
_REFUSALS: Constant = {
    401: "Without a token that opens this",
    403: "From a page that may not",
    404: "Nothing is known of such a session, or what is asked for is purged",
    409: "The session's state does not allow it",
    413: "A body longer than is taken",
    422: "A parameter, or a body, that can't be",
    429: "Over a limit; see Retry-After",
    503: "Nothing new is taken at the moment; see Retry-After",
    507: "The disk can't be written or read",
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every refusal says.

    Attributes:
        code: key of the text in ``texts/*/errors.json``.
        message: that text; Spanish where ``Accept-Language`` begins with it, else English.
        retry_after_s: when to try again, if waiting helps.
    """

    code: str
    message: str
    retry_after_s: float | None = None


class Renewed(msgspec.Struct, frozen=True):
    """A fresh session token."""

    session_token: str


def content(schema: str, media_type: str = _JSON) -> dict[str, Any]:
    """A body of a type that has a schema in the document."""
    return {"content": {media_type: {"schema": {"$ref": f"{_SCHEMAS}{schema}"}}}}


def answers(
    status: int, *refusals: int, body: dict[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """What a route answers.

    Args:
        status: where all is well.
        refusals: besides those that every route has: a page from elsewhere, too many requests.
        body: where all is well, see `content`; without one it has none.
    """
    told = {code: {"description": _REFUSALS[code], **content("Problem")} for code in {*refusals, 403, 429}}
    return {status: {"description": "As asked", **(body or {})}, **dict(sorted(told.items()))}


def describe(app: FastAPI) -> None:
    """Has the application's document say the rest: the schemas, and who is let in."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        components = document.setdefault("components", {})
        components["schemas"] = _schemas()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's way of adding to the document


def _schemas() -> dict[str, Any]:
    types = (CreateSession, CreatedSession, RenewToken, Renewed, BlockReceipt, Problem)
    _, components = msgspec.json.schema_components(
        (*types, SessionStatus, TranscriptHeader),
        ref_template=_SCHEMAS + "{name}",
        schema_hook=lambda _: {"type": "string"},  # paths
    )
    session = components["SessionStatus"]
    session["properties"]["metrics"] = {"type": ["object", "null"]}
    session["properties"]["metadata"] = {"type": "object", "additionalProperties": {"type": "string"}}
    session["required"].append("metadata")
    pages = {
        name: {"type": "array", "items": {"$ref": f"{_SCHEMAS}{item}"}}
        for name, item in (("sessions", "SessionStatus"), ("history", "TranscriptHeader"))
    }
    totals = {f"{name}_total": {"type": "integer", "minimum": 0} for name in pages}
    components["Sessions"] = {"type": "object", "properties": pages | totals, "required": [*pages, *totals]}
    return components
