from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faster_whisper import WhisperModel

from rtstt_lab.emissions import word_key
from rtstt_lab.recognition.batched_prefix import Prefixes, reordered
from rtstt_lab.recognition.whisper import DecoderOptions, WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples, text_of


@pytest.fixture(scope="module")
def speech(two_cities: Samples) -> Samples:
    """About 7 s: "It was the best of times, it was the worst of times, it was the age of wisdom"."""
    return two_cities[SAMPLE_RATE_HZ : 8 * SAMPLE_RATE_HZ]


@pytest.fixture(scope="module")
def plain(base: WhisperDecoder) -> WhisperDecoder:
    """The same model in its own order."""
    whisper = WhisperModel(str(base.model.path), device="cpu", compute_type="int8", cpu_threads=1)
    return WhisperDecoder(base.model, whisper, DecoderOptions(), Prefixes())


def test_the_order_of_tokens_changes_nothing_that_is_said(
    base: WhisperDecoder, plain: WhisperDecoder, speech: Samples
) -> None:
    """Text, times, probabilities, languages and the offline transcript are those of the model as it came."""
    ours, theirs = (
        decoder.decode_window(speech, start_s=0.0, language="en", beam_size=5).hypothesis
        for decoder in (base, plain)
    )
    assert text_of(ours.words) == text_of(theirs.words)
    for one, other in zip(ours.words, theirs.words, strict=True):
        assert (one.start_s, one.end_s) == (other.start_s, other.end_s)
        assert one.probability == pytest.approx(other.probability, abs=0.01)
    assert base.language_probabilities(speech) == pytest.approx(
        plain.language_probabilities(speech), abs=0.001
    )
    offline = [[final.text for final in d.transcribe_offline(speech, language="en")] for d in (base, plain)]
    assert offline[0] == offline[1]


def test_a_decode_goes_on_from_the_words_that_stand(base: WhisperDecoder, speech: Samples) -> None:
    """Words given are kept, get times, and are not decoded; what follows is what a free decode says."""
    free = base.decode_window(speech, start_s=0.0, language="en", beam_size=5)
    words = free.hypothesis.words
    said = text_of(words[:8])
    went_on = base.decode_window(speech, start_s=0.0, language="en", beam_size=5, said=" " + said)
    ours = went_on.hypothesis.words
    assert [word_key(word.text) for word in ours] == [word_key(word.text) for word in words]
    assert went_on.tokens <= free.tokens - 5
    assert all(abs(a.end_s - b.end_s) < 0.3 for a, b in zip(ours, words, strict=True))


def test_words_that_stand_are_not_questioned(base: WhisperDecoder, speech: Samples) -> None:
    """The prefix is given back to the letter, even one that the model would not have written."""
    went_on = base.decode_window(speech, start_s=0.0, language="en", said=" IT was the best of times,")
    assert text_of(went_on.hypothesis.words).startswith("IT was the best of times,")


def test_where_all_was_said_nothing_is_added(base: WhisperDecoder, speech: Samples) -> None:
    """Behind a whole text the model may stop at once."""
    whole = base.decode_window(speech, start_s=0.0, language="en", beam_size=5).hypothesis.words
    again = base.decode_window(
        speech, start_s=0.0, language="en", beam_size=5, said=" " + text_of(whole).rstrip(".,;")
    )
    keys = [word_key(word.text) for word in again.hypothesis.words]
    assert keys == [word_key(word.text) for word in whole]
    assert again.tokens <= 4


def test_a_word_whose_end_has_no_copy_is_decoded_anew() -> None:
    """A prefix is cut back to a token that has one, and written with it."""
    prefixes = Prefixes({5: 100, 7: 101})
    assert prefixes.shortened([3, 5, 9, 7, 8, 6]) == [3, 5, 9, 7]
    assert prefixes.written([3, 5, 9, 7]) == [3, 5, 9, 101]
    assert prefixes.shortened([1, 2]) == prefixes.written([]) == []


def test_a_model_in_another_form_works_as_it_is(
    tmp_path: Path, tiny: WhisperDecoder, speech: Samples
) -> None:
    """In an unknown format, or without its tokenizer, a model takes no prefix, and is not refused."""
    folder, copy = tmp_path / "model", tmp_path / "copy"
    folder.mkdir()
    for file in tiny.model.path.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "tokenizer.json").unlink()
    assert reordered(folder, copy) == Prefixes()
    (folder / "tokenizer.json").symlink_to(tiny.model.path / "tokenizer.json")
    (folder / "model.bin").unlink()
    (folder / "model.bin").write_bytes(b"\x07\0\0\0" + b"\0" * 64)
    assert reordered(folder, copy) == Prefixes()
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    whisper = WhisperModel(str(tiny.model.path), device="cpu", compute_type="int8", cpu_threads=1)
    decoder = WhisperDecoder(tiny.model, whisper, DecoderOptions(), Prefixes())
    said = decoder.decode_window(speech, start_s=0.0, language="en", said=" IT was the best of times,")
    assert text_of(said.hypothesis.words).startswith("It was the best of times")


def test_a_copy_is_made_once_and_whole(tmp_path: Path, tiny: WhisperDecoder) -> None:
    """Several at once make one copy, and leave nothing else behind."""
    copy = tmp_path / "models" / "copy"
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: reordered(tiny.model.path, copy), range(3)))
    assert made[0].ends
    assert made == [made[0]] * 3
    assert [file.name for file in copy.parent.iterdir()] == ["copy"]
    written = (copy / "model.bin").stat().st_mtime_ns
    assert reordered(tiny.model.path, copy) == made[0]
    assert (copy / "model.bin").stat().st_mtime_ns == written


def test_without_a_place_for_the_copy_all_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: WhisperDecoder, speech: Samples
) -> None:
    """A cache that can't be written costs speed, and nothing else."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RTSTT_CACHE", str(tmp_path / "file"))
    decoder = WhisperDecoder.load(tiny.model)
    said = decoder.decode_window(speech, start_s=0.0, language="en", said=" IT was the best of times,")
    assert text_of(said.hypothesis.words).startswith("It was the best of times")
