"""The client's sending of audio: numbering, credit, pace, repetition, and the ledger."""

from __future__ import annotations

from rtstt_lab.errors import UsageError
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import LossReason
from rtstt_lab.protocol.latency import LatencyTracker
from rtstt_lab.protocol.messages import (
    MAX_DURATION_MS,
    AudioHeader,
    Limits,
    Received,
    ServerAck,
    Sync,
    encode_audio,
)
from rtstt_lab.protocol.send_window import HeldChunk, SendWindow
from rtstt_lab.protocol.timing import TokenBucket, earliest
from rtstt_lab.protocol.windows import Ledger


class AudioSender:
    """Takes captured chunks and gives out frames as the server, the link and the limits allow.

    Args:
        settings: see `ClientSettings`.
        tracker: is told of each chunk's first sending.
    """

    def __init__(self, settings: ClientSettings, tracker: LatencyTracker) -> None:
        self._settings = settings
        self._tracker = tracker
        self._window = SendWindow(settings.max_buffer_bytes, settings.max_in_flight)
        self._received = Received()
        self._transmitted = 0
        self._first_stream = 0
        self._mimes: dict[int, str] = {}
        self._mimes_told: dict[int, int] = {}
        self._pace: TokenBucket | None = None
        self._hold_until = 0.0
        self._progress_at = 0.0

    @property
    def captured(self) -> int:
        """The number that the next chunk gets."""
        return self._window.captured

    @property
    def next_seq(self) -> int:
        """The first chunk that the server has not received, as far as is known."""
        return self._window.next_seq

    @property
    def bounds(self) -> tuple[int, int] | None:
        """First and last chunk in the buffer."""
        return self._window.bounds

    @property
    def held_ms(self) -> int:
        """Audio that the server has not received, as far as is known."""
        return sum(chunk.duration_ms for chunk in self._window.waiting)

    @property
    def ledger(self) -> Ledger:
        """What became of every transmission and chunk, as far as is known."""
        return self._window.ledger(self._transmitted, self._received)

    def append(
        self, payload: bytes, *, duration_ms: int, captured_ms: int, stream: int, mime: str | None
    ) -> tuple[int, LossReason | None]:
        """Numbers a chunk and keeps it.

        Returns:
            Its number, and why it is lost already if it is.

        Raises:
            UsageError: for a chunk that is too long.
        """
        if not 0 <= duration_ms <= MAX_DURATION_MS:
            raise UsageError("chunk_duration", duration_ms=duration_ms, limit_ms=MAX_DURATION_MS)
        stream += self._first_stream
        if mime is not None:
            self._mimes[stream] = mime
        return self._window.append(
            payload, duration_ms=duration_ms, captured_ms=max(0, captured_ms), stream=stream
        )

    def take_numbers(self, sync: Sync) -> None:
        """This client is new to a session: its numbers, and its ledger, begin where the server's end."""
        received = sync.received
        self._transmitted += received.accepted + received.duplicate + received.rejected
        self._window.rebase(sync.next_seq, sync.next_stream, sync.audio_ms)
        self._first_stream = sync.next_stream
        self._mimes = {stream + sync.next_stream: mime for stream, mime in self._mimes.items()}

    def synchronise(self, sync: Sync, limits: Limits) -> list[int]:
        """The server has said where it stands: starts again at the chunk that it wants.

        Returns:
            The chunks it wants that were given up since it had received them.
        """
        self._received = sync.received
        given_up = self._window.synchronise(sync.next_seq, sync.header_seq, sync.end_seq)
        self._window.advance(sync.next_seq, sync.committed_seq, sync.resume_seq)
        self._window.credit_ms = sync.credit_ms
        self._window.max_chunk_bytes = limits.max_chunk_bytes
        self._mimes_told.clear()
        return given_up

    def link_opened(self, limits: Limits, now: float) -> None:
        """A link is open, and synchronised: what is held may go at once, and be told that is given up."""
        self._progress_at = now
        self._pace = TokenBucket(limits.max_chunks_per_s, limits.max_chunks_per_s, now)
        self._pace.grant(self._window.captured - self._window.next_seq, now)

    def acknowledged(self, ack: ServerAck, now: float) -> None:
        """The server answered a frame, or told its marks."""
        if ack.next_seq > self._window.next_seq:
            self._progress_at = now
        self._received = ack.received
        self._window.advance(ack.next_seq, ack.committed_seq, ack.resume_seq)
        self._window.credit_ms = ack.credit_ms
        self._window.answered(ack.seq, ack.missing)

    def hold(self, until: float) -> None:
        """The server asked to wait."""
        self._hold_until = max(self._hold_until, until)

    def link_lost(self) -> None:
        """What was on its way is cut."""
        self._window.link_lost()
        self._pace = None

    def close(self, end: int) -> tuple[int, int] | None:
        """The session takes no more than it has received, or than lies below ``end``.

        Returns:
            First and last chunk lost by this, if any.
        """
        return self._window.close(end)

    def finish(self, received: Received) -> tuple[int, int] | None:
        """The session is over.

        Args:
            received: the server's half of the ledger.

        Returns:
            First and last chunk lost by this, if any.
        """
        self._received = received
        self._window.advance(received.accepted + received.lost, 0, 0)
        return self._window.free()

    def next_frame(self, now: float, now_ms: int) -> bytes | None:
        """The next audio frame that may go out at ``now``, as counted sent.

        Args:
            now: the time.
            now_ms: the same on the wire clock.
        """
        chunk = self._window.to_send()
        if chunk is None or now < self._hold_until or not (self._pace and self._pace.take(now)):
            return None
        if not self._window.unanswered:
            self._progress_at = now
        frame = self._frame(chunk, now, now_ms)
        self._window.sent(chunk)
        return frame

    def block(self, now: float, now_ms: int, max_bytes: int) -> list[bytes]:
        """The frames of one block, as counted sent; its receipt says what is wanted then.

        Args:
            now: the time.
            now_ms: the same on the wire clock.
            max_bytes: of its audio; one chunk may be longer.
        """
        self._mimes_told.clear()
        if now < self._hold_until:
            return []
        return [self._frame(chunk, now, now_ms) for chunk in self._window.block(max_bytes)]

    @property
    def may_send(self) -> bool:
        """Whether there is audio to send, and room for it at the server."""
        return bool(self._window.block(0))

    def deadline(self) -> float | None:
        """When `next_frame` or `due` has something to do, if a link is open."""
        if self._pace is None:
            return None
        resend_at = self._progress_at + self._settings.resend_s if self._window.unanswered else None
        pace_at = max(self._pace.ready_at(), self._hold_until) if self._window.to_send() else None
        return earliest(resend_at, pace_at)

    def due(self, now: float) -> None:
        """Sends the oldest chunk again whose answer is long overdue."""
        resend_at = self._progress_at + self._settings.resend_s
        if self._pace is not None and self._window.unanswered and now >= resend_at:
            self._window.ask_oldest()
            self._progress_at = now

    def _frame(self, chunk: HeldChunk, now: float, now_ms: int) -> bytes:
        self._transmitted += 1
        self._tracker.sent(chunk.seq, duration_ms=chunk.duration_ms, end_ms=chunk.end_ms, now=now)
        tells = self._mimes_told.setdefault(chunk.stream, chunk.seq) == chunk.seq  # each time that it is sent
        mime = self._mimes.get(chunk.stream) if tells else None
        payload = chunk.payload or b""
        header = AudioHeader(
            seq=chunk.seq,
            stream=chunk.stream,
            bytes=len(payload),
            crc32=chunk.crc32,
            duration_ms=chunk.duration_ms,
            captured_ms=chunk.captured_ms,
            sent_ms=now_ms,
            mime=mime,
            lost=chunk.payload is None,
            header=self._window.is_header(chunk),
        )
        return encode_audio(header, payload)
