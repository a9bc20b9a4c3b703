"""When the client sends a block, repeats one, tries the link again, or gives up (rule 10)."""

from __future__ import annotations

from typing import Final, Literal

from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.timing import earliest

_LEAST_BYTES: Final = 2**16


class BlockPace:
    """One block on its way at a time; its answer says what the next one holds.

    Attributes:
        active: whether audio travels in blocks.
        number: of the last block.
        synchronised: the last block was answered; otherwise the next one only asks where the server stands,
            since that may have been restarted.
        max_bytes: of audio in the next block: halved when one does not get through, doubled when one does.
        reason: why the last one failed.

    Args:
        settings: see `ClientSettings`.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.active = False
        self.synchronised = False
        self.max_bytes = settings.max_block_bytes
        self.reason = ""
        self._settings = settings
        self.number = 0
        self._failures = 0
        self._send_at: float | None = None
        self._answer_by: float | None = None
        self._give_up_at: float | None = None
        self._stable_s = settings.block_stable_s
        self._try_link_at: float | None = None
        self._tries_link = False

    def enter(self, now: float, *, tries_link: bool) -> None:
        """Blocks from now on.

        Args:
            now: the time.
            tries_link: whether to try the link again when blocks get through.
        """
        if not self.active:
            self.active, self.synchronised = True, False
            self._send_at, self._failures = now, 0
            self._give_up_at = now + self._settings.block_patience_s
        self._tries_link = tries_link
        self._try_link_at = None

    def leave(self) -> None:
        """No more blocks; what is on its way is not waited for."""
        self.active = False
        self._send_at = self._answer_by = self._give_up_at = self._try_link_at = None
        self._stable_s = self._settings.block_stable_s

    def hasten(self, now: float) -> None:
        """Something was pressed: the next block need not wait, unless the last one failed."""
        if self._send_at is not None and not self._failures:
            self._send_at = min(self._send_at, now)

    @property
    def deadline(self) -> float | None:
        """When `due` has something to say."""
        return earliest(self._send_at, self._answer_by, self._give_up_at, self._try_link_at)

    def due(self, now: float) -> Literal["send", "timeout", "give_up", "try_link"] | None:
        """What is to be done by now."""
        if self._give_up_at is not None and now >= self._give_up_at:
            return "give_up"
        if self._answer_by is not None and now >= self._answer_by:
            return "timeout"
        if self._try_link_at is not None and now >= self._try_link_at:
            self._try_link_at = None
            self._stable_s = min(2 * self._stable_s, self._settings.max_block_stable_s)
            return "try_link"
        if self._send_at is not None and now >= self._send_at:
            return "send"
        return None

    def sent(self, now: float) -> int:
        """A block goes out.

        Returns:
            Its number.
        """
        self.number += 1
        self._send_at = None
        self._answer_by = now + self._settings.block_timeout_s
        return self.number

    def awaits(self, block: int) -> bool:
        """Whether the answer to this block is still waited for."""
        return self._answer_by is not None and block == self.number

    def answered(self, now: float, *, at_once: bool) -> None:
        """The block was taken.

        Args:
            now: of its answer.
            at_once: there is more to send.
        """
        self.synchronised = True
        self.max_bytes = min(2 * self.max_bytes, self._settings.max_block_bytes)
        self._failures = 0
        self._answer_by = None
        self._send_at = now if at_once else now + self._settings.block_s
        self._give_up_at = now + self._settings.block_patience_s
        if self._tries_link and self._try_link_at is None:
            self._try_link_at = now + self._stable_s

    def failed(self, reason: str, now: float, retry_after_s: float) -> None:
        """The block did not get through, as far as is known: waits up to the ladder's last step.

        Args:
            reason: why.
            now: of the failure.
            retry_after_s: what the server asked for.
        """
        self.reason = reason
        self.synchronised = False
        self.max_bytes = max(self.max_bytes // 2, _LEAST_BYTES)
        ladder = self._settings.backoff_s or (self._settings.block_s,)
        delay_s = ladder[min(self._failures, len(ladder) - 1)]
        self._failures += 1
        self._answer_by = self._try_link_at = None
        self._send_at = now + max(delay_s, retry_after_s)

    def link_failed(self, now: float) -> None:
        """The link was tried in vain: again when blocks have got through for longer."""
        if self._tries_link:
            self._try_link_at = now + self._stable_s
