"""Every sentence of the protocol is held against the checks, and every check against a sentence."""

from __future__ import annotations

import make_promises as made
from rtstt_lab.lab.conformance.rules import CHECKS


def test_every_sentence_is_judged():
    """What docs/protocol.md says is what promises.toml holds; a new sentence needs a check, or a reason."""
    said = made.sentences(made.DOCUMENT.read_text("utf-8"))
    judged = {title: list(section) for title, section in made.promises().items()}
    assert judged == said


def test_every_check_proves_a_sentence():
    """Proofs name checks that there are, all of them; where there is none, a reason stands."""
    proofs = [proof for section in made.promises().values() for proof in section.values()]
    named = {name for proof in proofs for name in made.checks_of(proof)}
    assert named == {check.id for check in CHECKS}
    assert all(made.checks_of(proof) or len(proof) > 10 for proof in proofs)


def test_sentences_are_found_in_paragraphs_lists_and_tables():
    """Code is none, a bold heading belongs to its sentence, and rows are one each."""
    text = (
        "# Top\nOne. Two\nlines.\n```\nx. Y.\n```\n"
        "## Next\n- **Head.** Three. `four` is.\n\n| a | b |\n|---|---|\n| c | d\\|e |\n"
    )
    assert made.sentences(text) == {
        "Top": ["One.", "Two lines."],
        "Next": ["**Head:** Three.", "`four` is.", "a: b", "c: d\\|e"],
    }
