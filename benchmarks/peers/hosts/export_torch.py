"""Writes a CTranslate2 Whisper as a PyTorch checkpoint: MODEL_FOLDER CHECKPOINT HEADS.

The same float16 weights under OpenAI's names, so that a peer that runs in PyTorch has the same model. HEADS
gets the alignment heads as OpenAI writes them: the mask of layers and heads, gzip, base 85.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_HEAD_SIZE = 64
_KINDS = ("weight", "bias")
_PARTS = {
    "self_attention": ("attn", (("query", "key", "value"), ("out",))),
    "attention": ("cross_attn", (("query",), ("key", "value"), ("out",))),
}


def read_variables(file: BinaryIO) -> dict[str, np.ndarray]:
    """All variables of a ``model.bin``: version, specification, revision, count, then each with its shape."""

    def number(code: str) -> int:
        return int(struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0])

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    number("I"), text(), number("I")
    variables = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype = _DTYPES[number("B")]
        variables[name] = np.frombuffer(file.read(number("I")), dtype).reshape(shape)
    return variables


def torch_state(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under OpenAI's names; the bias of keys, which is zero there, is left out."""
    state = {
        "decoder.token_embedding.weight": variables["decoder/embeddings/weight"],
        **_norm(variables, "decoder/layer_norm", "decoder.ln"),
        **_norm(variables, "encoder/layer_norm", "encoder.ln_post"),
    }
    for conv in ("conv1", "conv2"):
        state |= {f"encoder.{conv}.{kind}": variables[f"encoder/{conv}/{kind}"] for kind in _KINDS}
    for half in ("encoder", "decoder"):
        state[f"{half}.positional_embedding"] = variables[f"{half}/position_encodings/encodings"]
        for layer in range(_layers(variables, half)):
            state |= _block(variables, f"{half}/layer_{layer}", f"{half}.blocks.{layer}")
    return state


def _block(variables: dict[str, np.ndarray], theirs: str, ours: str) -> dict[str, np.ndarray]:
    state = _norm(variables, f"{theirs}/ffn/layer_norm", f"{ours}.mlp_ln")
    for index, place in ((0, 0), (1, 2)):
        for kind in _KINDS:
            state[f"{ours}.mlp.{place}.{kind}"] = variables[f"{theirs}/ffn/linear_{index}/{kind}"]
    for part, (name, projections) in _PARTS.items():
        if f"{theirs}/{part}/layer_norm/gamma" not in variables:
            continue  # encoders attend to nothing else
        state |= _norm(variables, f"{theirs}/{part}/layer_norm", f"{ours}.{name}_ln")
        for index, joined in enumerate(projections):
            for kind in _KINDS:
                split = np.split(variables[f"{theirs}/{part}/linear_{index}/{kind}"], len(joined))
                state |= {
                    f"{ours}.{name}.{each}.{kind}": values
                    for each, values in zip(joined, split, strict=True)
                    if (each, kind) != ("key", "bias")
                }
    return state


def dimensions(variables: dict[str, np.ndarray]) -> dict[str, int]:
    """As OpenAI's ``ModelDimensions`` has them."""
    vocabulary, text_state = variables["decoder/embeddings/weight"].shape
    audio_context, audio_state = variables["encoder/position_encodings/encodings"].shape
    return {
        "n_mels": variables["encoder/conv1/weight"].shape[1],
        "n_audio_ctx": audio_context,
        "n_audio_state": audio_state,
        "n_audio_head": audio_state // _HEAD_SIZE,
        "n_audio_layer": _layers(variables, "encoder"),
        "n_vocab": vocabulary,
        "n_text_ctx": variables["decoder/position_encodings/encodings"].shape[0],
        "n_text_state": text_state,
        "n_text_head": text_state // _HEAD_SIZE,
        "n_text_layer": _layers(variables, "decoder"),
    }


def heads_mask(heads: list[list[int]], layers: int, per_layer: int) -> bytes:
    """Alignment heads (layer, head) as OpenAI writes them."""
    mask = np.zeros((layers, per_layer), bool)
    for layer, head in heads:
        mask[layer, head] = True
    return base64.b85encode(gzip.compress(mask.tobytes(), mtime=0))


def _norm(variables: dict[str, np.ndarray], theirs: str, ours: str) -> dict[str, np.ndarray]:
    return {f"{ours}.weight": variables[f"{theirs}/gamma"], f"{ours}.bias": variables[f"{theirs}/beta"]}


def _layers(variables: dict[str, np.ndarray], half: str) -> int:
    return len(
        {name.split("/")[1] for name in variables if name.startswith(f"{half}/layer_")} - {"layer_norm"}
    )


def main(folder: Path, checkpoint: Path, heads: Path) -> None:
    """Writes both files."""
    with (folder / "model.bin").open("rb") as file:
        variables = read_variables(file)
    dims = dimensions(variables)
    state = {name: torch.tensor(values).float() for name, values in torch_state(variables).items()}
    torch.save({"dims": dims, "model_state_dict": state}, checkpoint)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    heads.write_bytes(heads_mask(config["alignment_heads"], dims["n_text_layer"], dims["n_text_head"]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
