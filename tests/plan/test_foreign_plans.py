"""Whatever stands in the file that is to be a saved plan: a plan, or one of the two errors for what is none."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import InvalidInput, StalePlan
from replsync.plan.document import body_digest, canonical, plan_json
from replsync.plan.document_reading import read_plan
from tests.plan.saved_plans import every_kind
from tests.plan.tampering import Document

DOCUMENT: Document = json.loads(plan_json(every_kind()))
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def read_or_refused(data: bytes) -> None:
    with suppress(InvalidInput, StalePlan):
        assert plan_json(read_plan(data, "plan.json")).encode() == data


def sealed(document: Document) -> bytes:
    """Written as whoever forges a plan would write it."""
    body = {key: value for key, value in document.items() if key != "digest"}
    try:
        return (canonical({**body, "digest": body_digest(body)}) + "\n").encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(document).encode()


@given(st.binary() | st.integers(900, 1100).map(lambda depth: b'{"digest":' + b"[" * depth + b"]" * depth + b"}"))
def test_any_bytes_are_a_plan_or_refused(data: bytes) -> None:
    read_or_refused(data)


@given(st.sampled_from(sorted(DOCUMENT)), VALUE)
def test_any_value_in_any_member_is_a_plan_or_refused(member: str, value: Any) -> None:
    read_or_refused(sealed({**DOCUMENT, member: value}))


@given(st.integers(0, len(DOCUMENT["actions"]) - 1), st.sampled_from(sorted(DOCUMENT["actions"][0])), VALUE)
def test_any_value_in_any_action_is_a_plan_or_refused(number: int, member: str, value: Any) -> None:
    actions = [dict(action) for action in DOCUMENT["actions"]]
    actions[number][member] = value
    read_or_refused(sealed({**DOCUMENT, "actions": actions}))
