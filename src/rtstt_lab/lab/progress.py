"""A bar while an experiment runs, in terminals and notebooks alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tqdm import tqdm

from rtstt_lab.lab.experiment import Progress

_FORMAT: Final = "{desc} {bar} {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Seconds of audio that have gone by; the bar disappears at the end."""
    with tqdm(bar_format=_FORMAT, leave=False, total=1.0) as bar:

        def show(done_s: float, total_s: float, what: str) -> None:
            bar.total = total_s
            bar.set_description_str(what, refresh=False)
            bar.update(done_s - bar.n)

        yield show
