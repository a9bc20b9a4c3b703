"""What the docs say of the protocol is what the code says."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from make_docs import CLIENT, DOCS, SERVER, stale
from rtstt_lab.protocol import messages as wire


@pytest.mark.requirement("L1")
def test_nothing_made_is_stale():
    """Diagram, tables, schemas, AsyncAPI and lists are as scripts/make_docs.py would write them now."""
    assert stale() == []


@pytest.mark.parametrize("kind", [*CLIENT, *SERVER], ids=lambda kind: kind.__name__)
def test_schemas_are_schemas(kind):
    """Each message has a schema that validators accept, under its own name."""
    schema = json.loads((DOCS / f"schemas/{kind.__name__}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$defs"][kind.__name__]["properties"]["type"]["enum"] == [kind.__struct_config__.tag]


def test_a_message_fits_its_schema():
    """What goes over the wire is what the schema describes."""
    ack = wire.ServerAck(None, 3, missing=(4, 5), received=wire.Received(accepted=3))
    schema = json.loads((DOCS / "schemas/ServerAck.json").read_text("utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(json.loads(wire.encode(ack)))) == []


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    """No dangling name in docs/asyncapi.json."""
    document = json.loads((DOCS / "asyncapi.json").read_text("utf-8"))
    pending, found = [document], 0
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                found += 1
                target = document
                for name in part["$ref"].removeprefix("#/").split("/"):
                    target = target[name]
            pending += part.values()
        elif isinstance(part, list):
            pending += part
    assert found > 40
