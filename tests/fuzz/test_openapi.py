"""The server is held to its own OpenAPI document: whatever is asked, it answers as that says."""

from __future__ import annotations

import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from tests.server.talk import TOKEN

SESSIONS = "/api/streaming/sessions"
SESSION = f"{SESSIONS}/{{session_id}}"
OPERATIONS = [
    ("POST", SESSIONS),
    ("GET", SESSIONS),
    ("GET", SESSION),
    ("POST", f"{SESSION}/token"),
    ("POST", f"{SESSION}/blocks"),
    ("GET", f"{SESSION}/transcript"),
    ("DELETE", SESSION),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
]
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
UNKNOWN = "123e4567-e89b-42d3-a456-426614174000"
NOT_CLAIMED = ("positive_data_acceptance", "negative_data_rejection")
"""A well-formed name of a model or id of a session may be unknown; unknown parameters are passed over."""
MAX_GROWN_MB = 60
MAX_MORE_FILES = 20


@pytest.fixture(scope="module")
def document(service):
    """As the server tells it."""
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def test_every_operation_is_tried(document):
    """The list here is the document's."""
    operations = [(method.upper(), path) for path in document for method in document[path]]
    assert sorted(operations) == sorted(OPERATIONS)


@pytest.mark.requirement("S1")
@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize(
    "examples",
    [
        pytest.param(8, id="few"),
        pytest.param(150, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_it_answers_as_it_says(service, document, method, path, mode, examples):
    """No error of the server's own; status, type and form of each answer are the document's; no growth."""
    operation = document[path][method]
    if mode is NEGATIVE and not (operation.path_parameters or operation.query or operation.body):
        pytest.skip("nothing that could be wrong")
    process = psutil.Process(service.process.pid)
    before = process.memory_info().rss, process.num_fds()
    known = service.create()["session_id"]
    places = st.sampled_from([None, {"session_id": known}, {"session_id": UNKNOWN}])
    if not operation.path_parameters:
        places = st.none()
    cases = places.flatmap(lambda place: operation.as_strategy(mode, path_parameters=place))

    @seed(1)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def ask(case):
        case.call_and_validate(
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=[schemathesis.checks.CHECKS.get_one(name) for name in NOT_CLAIMED],
        )

    ask()
    for session in service.rest("GET", "?limit=500").json()["sessions"]:
        service.rest("DELETE", f"/{session['session_id']}")
    assert process.num_fds() <= before[1] + MAX_MORE_FILES
    assert (process.memory_info().rss - before[0]) / 2**20 < MAX_GROWN_MB
