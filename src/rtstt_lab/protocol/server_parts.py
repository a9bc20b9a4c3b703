"""What a server's session keeps: tokens by their hashes, the numbered event log, and the buttons to come."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from rtstt_lab.protocol.messages import ClientControl, Message, encode
from rtstt_lab.protocol.timing import TokenBucket

_MAX_FRESH: Final = 4


def token_hash(token: str) -> str:
    """SHA-256 of a token, in hexadecimal: all that is ever kept of it."""
    return hashlib.sha256(token.encode()).hexdigest()


class Tokens:
    """The present token and those issued since: each is valid until the first hello under a newer one.

    Args:
        present: hash of the token that ``POST /api/streaming/sessions`` gave out.
        api: hash of the API token, if there is one; it is always valid.
        new_token: makes an unguessable token.
        fresh: hashes of those issued since the present one.
    """

    def __init__(
        self, present: str, api: str | None, new_token: Callable[[], str], fresh: tuple[str, ...] = ()
    ) -> None:
        self._present = present
        self._fresh = list(fresh)
        self._api = api
        self._new_token = new_token

    def check(self, token: str) -> str | None:
        """Holds ``token`` against the valid ones in constant time; a fresh one becomes the present one.

        Returns:
            Its hash, or ``None`` if it is not valid.
        """
        offered = token_hash(token)
        matches = [known for known in self._known() if hmac.compare_digest(known, offered)]
        if not matches:
            return None
        if offered in self._fresh:
            self._present, self._fresh = offered, []
        return offered

    def issue(self) -> str:
        """A token for the next hello."""
        token = self._new_token()
        self._fresh = [*self._fresh[1 - _MAX_FRESH :], token_hash(token)]
        return token

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of the valid session tokens, the present one first."""
        return (self._present, *self._fresh)

    def _known(self) -> Iterator[str]:
        yield from self.hashes
        if self._api is not None:
            yield self._api


class EventLog:
    """The numbered events from 1, as they went over the wire.

    Args:
        frames: those that there are already.
    """

    def __init__(self, frames: tuple[str, ...] = ()) -> None:
        self._frames = list(frames)

    @property
    def last(self) -> int:
        """The newest number."""
        return len(self._frames)

    def add(self, message: Message) -> str:
        """Numbers a message that has the field ``event``, and keeps its frame."""
        frame = encode(msgspec.structs.replace(message, event=self.last + 1))
        self._frames.append(frame)
        return frame

    def after(self, event: int) -> list[str]:
        """The frames of all later events, in order."""
        return self._frames[event:]


class Controls:
    """Buttons, each applied once, in the order of their numbers, when the audio before them has come.

    Args:
        max_pending: how many may wait, or come at once.
        per_s: how many may come in the long run: each is answered with an event that is kept.
        applied: how many were applied before.
    """

    def __init__(self, max_pending: int = 64, per_s: float = 2.0, *, applied: int = 0) -> None:
        self.applied = applied
        self._pending: dict[int, ClientControl] = {}
        self._max_pending = max_pending
        self._per_s = per_s
        self._pace: TokenBucket | None = None

    def add(self, control: ClientControl, now: float) -> bool:
        """Keeps a button that is new; repeats, and those too far ahead or too many, are passed over.

        The client sends again what is not applied.

        Returns:
            Whether it is kept.
        """
        self._pace = self._pace or TokenBucket(self._per_s, self._max_pending, now)
        in_reach = self.applied < control.n <= self.applied + self._max_pending
        if new := in_reach and control.n not in self._pending and self._pace.take(now):
            self._pending[control.n] = control
        return new

    def pop(self, next_seq: int | None) -> ClientControl | None:
        """The next button, if the chunks before it have come (or in any case, without ``next_seq``)."""
        control = self._pending.get(self.applied + 1)
        if control is None or (next_seq is not None and control.at_seq > next_seq):
            return None
        self.applied += 1
        return self._pending.pop(control.n)

    def clear(self) -> None:
        """Forgets those that cannot be applied: one before them never came."""
        self._pending.clear()

    @property
    def waiting(self) -> bool:
        """Whether the next button is here, and waits for audio."""
        return self.applied + 1 in self._pending
