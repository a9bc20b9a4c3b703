"""How a model is loaded, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass

import ctranslate2


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """How a model is loaded.

    Attributes:
        device: ``auto`` (CUDA when there is one), ``cpu`` or ``cuda``.
        compute_type: ``auto`` (int8 on CPUs, float16 on CUDA where it is supported), or any type of
            CTranslate2.
        threads: of one decode. On short windows a second thread saves next to nothing.
        workers: decodes that may run at once, one a session.
        tail_positions: how much encoded silence follows a short window (20 ms each); 1500 fills it up to
            the 30 s that the model was trained with, which costs a quarter more and is always done in a
            thorough decode. ``None`` encodes 30 s whatever the window holds, as plain Whisper does.
    """

    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 1
    workers: int = 2
    tail_positions: int | None = 400


def placement(options: DecoderOptions) -> tuple[str, str]:
    """Device and type of computing, ``auto`` resolved."""
    device, gpus = options.device, ctranslate2.get_cuda_device_count()
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    compute_type = options.compute_type
    if compute_type == "auto":
        compute_type = "int8"
        if device == "cuda" and gpus and "float16" in ctranslate2.get_supported_compute_types("cuda"):
            compute_type = "float16"
    return device, compute_type
