"""What the repository says of itself: pinned sets, catalogues, vulnerability report."""

from __future__ import annotations

import re
import string
import tomllib

import pytest
from packaging.requirements import Requirement

from audit import verdict
from rtstt_lab.texts import LANGUAGES, catalogue, preferred_language


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def requirements(project):
    extras = project["optional-dependencies"]
    return [Requirement(line) for line in [*project["dependencies"], *extras["speech"], *extras["dev"]]]


@pytest.mark.requirement("C2")
def test_top_level_is_the_owners(root):
    """Every top-level name that the owner fixed is there."""
    for name in ("notebooks", "src/rtstt_lab", "data", "tests"):
        assert (root / name).is_dir()
    for name in (
        "environment.yml",
        "README.md",
        "README.es.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    ):
        assert (root / name).is_file()


@pytest.mark.requirement("C1", "C2")
def test_conda_users_get_the_same_set(root, project):
    """environment.yml lists exactly pyproject's requirements and Python."""
    lines = [line.strip() for line in (root / "environment.yml").read_text("utf-8").splitlines()]
    listed = {line.removeprefix("- ") for line in lines[lines.index("- pip:") + 1 :]}
    options = {line for line in listed if line.startswith("--")}
    assert options == {"--constraint constraints.txt", "--editable ."}
    assert {str(Requirement(line)) for line in listed - options} == {str(r) for r in requirements(project)}
    assert f"- python {project['requires-python']}" in lines


@pytest.mark.requirement("C1")
def test_every_requirement_is_pinned_within_its_range(root, project):
    """constraints.txt pins each requirement at a version that its range allows, and names no address."""
    text = (root / "constraints.txt").read_text("utf-8")
    pins = dict(line.lower().replace("_", "-").split("==") for line in text.splitlines() if "==" in line)
    assert "://" not in text
    for requirement in requirements(project):
        name = requirement.name.lower().replace("_", "-")
        assert requirement.specifier.contains(pins[name]), requirement


@pytest.mark.requirement("C1")
@pytest.mark.parametrize(
    "package",
    ["faster_whisper", "ipywidgets", "ipywebrtc", "websockets", "pandas", "matplotlib", "psutil"],
)
def test_the_owners_packages_are_really_used(root, package):
    """Each package that the owner fixed is imported by the code itself."""
    used = re.compile(rf"^\s*(import|from) {package}\b", re.MULTILINE)
    assert any(used.search(file.read_text("utf-8")) for file in (root / "src").rglob("*.py"))


@pytest.mark.requirement("C1")
@pytest.mark.parametrize("tool", ["$(BIN)/jupyter lab", "$(BIN)/python -m pytest", "--nbval"])
def test_the_owners_tools_are_really_run(root, tool):
    """`make` opens JupyterLab, and tests with pytest and nbval."""
    assert tool in (root / "Makefile").read_text("utf-8")


@pytest.mark.requirement("U1")
def test_catalogues_say_the_same_in_both_languages():
    """English and Spanish have the same keys and placeholders, and no text is empty or untranslated."""
    english, spanish = (catalogue(language) for language in LANGUAGES)
    assert english.keys() == spanish.keys()

    def fields(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    def words(text):
        return " ".join(literal for literal, *_ in string.Formatter().parse(text)).split()

    for key, text in english.items():
        assert text.strip(), key
        assert spanish[key].strip(), key
        assert fields(text) == fields(spanish[key]), key
    same = [key for key, text in english.items() if text == spanish[key] and len(words(text)) > 3]
    assert same == []


@pytest.mark.requirement("U1")
@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "es_MX.UTF-8"}, "es"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "es_ES", "LC_ALL": "en_GB"}, "en"),
        ({"LANG": "en_GB", "RTSTT_LANG": "es"}, "es"),
    ],
)
def test_the_locale_chooses_the_language(environment, language):
    """The person's locale decides, and RTSTT_LANG goes before it."""
    assert preferred_language(environment) == language


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([], 0, "not checked: the vulnerability databases"),
        ([{"name": "a", "skip_reason": "unknown"}], 0, "not checked"),
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 packages checked, 0 vulnerable"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            1,
            "CVE-1, mended in 2",
        ),
        (
            [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "?"}],
            0,
            "not checked: b",
        ),
    ],
)
def test_an_audit_never_calls_clean_what_it_could_not_look_up(rows, code, words):
    """A package that the database does not know is reported as not checked."""
    assert verdict(rows)[0] == code
    assert words in verdict(rows)[1]


def test_documents_point_at_what_is_there(root):
    """Every relative link and picture of every document leads to a file of the repository."""
    missing = [
        f"{page.relative_to(root)}: {target}"
        for page in [*root.glob("*.md"), *root.glob("docs/*.md")]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.requirement("U1")
def test_the_readme_is_short_and_in_both_languages(root):
    """Both READMEs have between 75 and 200 lines and the same commands."""
    pages = [(root / name).read_text("utf-8") for name in ("README.md", "README.es.md")]
    for page in pages:
        assert 75 <= len(page.splitlines()) <= 200
    commands = [
        set(re.findall(r"^(?:LANG=es )?(?:make \w+|\.venv/bin/rtstt \w+)", page, re.MULTILINE))
        for page in pages
    ]
    assert commands[0] - {"make demo"} == commands[1]
