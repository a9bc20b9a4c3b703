"""One socket of a session that is examined: says exactly what is asked for, and waits, within bounds."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from rtstt_lab.client.probe import ProbeSocket
from rtstt_lab.errors import MalformedFrameError
from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, phrase
from rtstt_lab.protocol import messages as wire

LOST_CODES: Final = frozenset({None, 1000, 1001, 1005, 1011})
"""What a proxy may make of a close code on its way; codes are a hint (rule 5)."""
_SHORTENED: Final = 240
_SECRET: Final = re.compile(r'("(?:session_)?token": ?")[^"]*')

_Kind = TypeVar("_Kind", bound=wire.Message)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each answer is waited for, at most.

    Attributes:
        answer_s: what needs no waiting.
        recognition_s: what has to be recognised first.
        gap_s: a missing chunk to become a hole.
        silence_s: a silent client to be let go of.
        hello_s: a link without a hello to be closed.
        button_s: a button whose audio does not come to take effect.
        kept_s: a session without a link is not suspended before,
        suspended_s: and is by then.
    """

    answer_s: float = 10.0
    recognition_s: float = 60.0
    gap_s: float = 30.0
    silence_s: float = 25.0
    hello_s: float = 12.0
    button_s: float = 60.0
    kept_s: float = 110.0
    suspended_s: float = 170.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the server told, and when.

    Attributes:
        at_s: on the probe's clock.
        message: as it was read; ``None`` where it cannot be.
        frame: as it came.
    """

    at_s: float
    message: wire.Message | None
    frame: str | bytes


class Talk:
    """A conversation over one socket.

    What is waited for is looked for from the present *turn* on: everything that was told since `turn` was
    called last, or since the socket opened.

    Args:
        socket: open.
        patience: see there.
        session_id: of the session.
        controls: of the session, a list that its talks share: the numbers used.
    """

    def __init__(
        self, socket: ProbeSocket, patience: Patience, *, session_id: str, controls: list[int]
    ) -> None:
        self.socket = socket
        self.session_id = session_id
        self._patience = patience
        self._controls = controls
        self._told: list[Told] = []
        self._from = 0

    # --- what was told --------------------------------------------------------------------------------------

    @property
    def told(self) -> Sequence[Told]:
        """Everything so far."""
        for heard in self.socket.heard[len(self._told) :]:
            self._told.append(Told(heard.at_s, _read(heard.frame), heard.frame))
        return self._told

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """All messages of one type so far."""
        return [told.message for told in self.told if isinstance(told.message, kind)]

    def answers(self, kind: type[_Kind]) -> list[_Kind]:
        """Those of the present turn."""
        return [told.message for told in self.told[self._from :] if isinstance(told.message, kind)]

    def turn(self) -> None:
        """What was told until now is no answer to what comes next."""
        self._from = len(self.told)

    async def until(
        self,
        kind: type[_Kind],
        such: str = "",
        where: Callable[[_Kind], bool] = lambda _: True,
        *,
        within_s: float | None = None,
        **fields: object,
    ) -> _Kind:
        """The first message of a type whose fields have these values.

        Args:
            kind: of the message.
            such: what else it is like, in the protocol's words.
            where: and whether it is.
            within_s: at most; `Patience.answer_s` if not given.
            fields: values of its fields.

        Raises:
            Unmet: it does not come in time, or the link ends before.
        """
        limit_s = within_s or self._patience.answer_s
        known = self._from
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    for told in self.told[known:]:
                        known += 1
                        message = told.message
                        if isinstance(message, kind) and _fits(message, fields) and where(message):
                            return message
                    if self.socket.ended is not None:
                        break
                    await self.socket.news(known)
        except TimeoutError:
            pass
        raise Unmet(wanted(kind, such, fields), self._instead(limit_s))

    async def ends(self, *codes: int, within_s: float | None = None) -> None:
        """The server closes, with one of these codes, or with one that the way has swallowed.

        Raises:
            Unmet: it does not, or with another one.
        """
        limit_s = within_s or self._patience.answer_s
        expected = "close " + "/".join(map(str, codes))
        try:
            async with asyncio.timeout(limit_s):
                while self.socket.ended is None:
                    await self.socket.news(len(self.socket.heard))
        except TimeoutError:
            raise Unmet(expected, phrase("got_open", seconds=limit_s, last=self._last())) from None
        if self.socket.ended.code not in LOST_CODES | set(codes):
            raise Unmet(expected, self._instead(limit_s))

    async def refused(self, *codes: int, within_s: float | None = None) -> wire.ServerError:
        """The server says why, fatally, and only then closes."""
        error = await self.until(wire.ServerError, within_s=within_s, fatal=True)
        await self.ends(*codes)
        return error

    async def alive(self) -> None:
        """The link still carries: a ping is answered."""
        number = 1_000_000 + len(self.socket.heard)
        await self.send(type="client:ping", sent_ms=number)
        await self.until(wire.ServerPong, sent_ms=number)

    # --- what is said ---------------------------------------------------------------------------------------

    async def raw(self, frame: str | bytes) -> None:
        """Any frame.

        Raises:
            Unmet: the link has ended.
        """
        if not await self.socket.send(frame):
            raise Unmet("link open", self._instead(0.0))

    async def send(self, **message: Any) -> None:
        """A JSON object."""
        await self.raw(json.dumps(message))

    async def chunk(self, seq: int, payload: bytes | None = None, **changes: Any) -> None:
        """An audio frame, right unless changes make it wrong; without a payload, silence."""
        payload = audio.silence() if payload is None else payload
        await self.raw(audio.binary(audio.header(seq, payload, **changes), payload))

    async def chunk_as_text(self, seq: int, payload: bytes) -> None:
        """An audio frame in its JSON form."""
        await self.send(**audio.header(seq, payload), data=base64.b64encode(payload).decode())

    async def say(self, payloads: Sequence[bytes], first: int = 0, **changes: Any) -> int:
        """Sends chunks, each once the one before is acknowledged.

        Returns:
            The number after the last.
        """
        captured_ms = changes.pop("captured_ms", first * audio.CHUNK_MS)
        for seq, payload in enumerate(payloads, first):
            await self.chunk(seq, payload, captured_ms=captured_ms, **changes)
            await self.until(wire.ServerAck, seq=seq)
            captured_ms += audio.duration_of_ms(payload)
        return first + len(payloads)

    async def control(self, action: str, at_seq: int, *, n: int | None = None) -> int:
        """A button; its number is the session's next if it is not given.

        Returns:
            The number.
        """
        number = n if n is not None else len(self._controls) + 1
        if n is None:
            self._controls.append(number)
        await self.send(type="client:control", action=action, n=number, at_seq=at_seq)
        return number

    async def start(self) -> None:
        """Begins to record."""
        await self.control("start", 0)
        await self.until(wire.Status, phase="recording")

    # --- wording --------------------------------------------------------------------------------------------

    def unmet(self, expected: str, message: wire.Message | None = None) -> Unmet:
        """What was wanted, and this instead; by default the last thing told."""
        got = phrase("got", text=describe(message)) if message is not None else self._instead(0.0)
        return Unmet(expected, got)

    def expect(self, message: wire.Message, **fields: object) -> None:
        """Holds a message against values of its fields.

        Raises:
            Unmet: one is another.
        """
        if not _fits(message, fields):
            raise Unmet(wanted(type(message), "", fields), phrase("got", text=describe(message)))

    def _instead(self, waited_s: float) -> Any:
        if self.socket.ended is not None:
            return phrase("got_end", code=self.socket.ended.code or "–", last=self._last())
        if waited_s:
            return phrase("got_nothing", seconds=waited_s, last=self._last())
        return phrase("got", text=self._last())

    def _last(self) -> str:
        quiet = (wire.Metrics, wire.ServerPing)
        telling = [told for told in self.told[self._from :] if not isinstance(told.message, quiet)]
        return _short(_frame_text(telling[-1].frame)) if telling else "–"


def wanted(kind: type[wire.Message], such: str, fields: dict[str, object]) -> str:
    """A message in the protocol's words: ``server:ack seq=1 next_seq=2``."""
    parts = [str(kind.__struct_config__.tag), *(f"{k}={_value(v)}" for k, v in fields.items()), such]
    return " ".join(part for part in parts if part)


def describe(message: wire.Message) -> str:
    """The same of one that came: what is not at its default."""
    fields = msgspec.to_builtins(message)
    kind = fields.pop("type")
    return _short(" ".join([kind, *(f"{name}={_value(value)}" for name, value in fields.items())]))


def _value(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def _fits(message: wire.Message, fields: dict[str, object]) -> bool:
    return all(getattr(message, name) == value for name, value in fields.items())


def _frame_text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else f"{len(frame)} B"


def _short(line: str) -> str:
    line = _SECRET.sub(r"\1…", line)
    return line if len(line) <= _SHORTENED else line[: _SHORTENED - 1] + "…"


def _read(frame: str | bytes) -> wire.Message | None:
    if isinstance(frame, bytes):
        return None
    try:
        return wire.decode_server_message(frame)
    except MalformedFrameError:
        return None
