"""Journals: what a line says, what a file of them is worth, and what a file that is none gives."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import InvalidInput
from replsync.oci.digest import sha256
from replsync.plan.action import WRITING, Kind, State
from replsync.plan.journal import Change, Entry, Event, changes, entry_line, read_journal
from tests.plan.situations import WORKER, digest

IMAGE, OTHER = (State("image", digest(name), digest(f"{name}'s config")) for name in "AB")
GRAVE = State("tombstone", digest("grave"), digest("its config"))
ENTRY = Entry(
    "wrote",
    "2026-01-02T03:04:05Z",
    Kind.UPDATE,
    "worker",
    WORKER.tagged("1.0"),
    IMAGE,
    OTHER,
    "the source has another image",
    digest("plan"),
    "0123456789abcdef0123456789abcdef01234567-dirty",
    "replsync 0.1.0",
)

# What UTF-8 can hold: a lone surrogate comes into no journal that was written.
texts = st.text(st.characters(exclude_categories=["Cs"]))
digests = st.binary().map(sha256)
states = st.builds(
    State, st.sampled_from(["image", "tombstone"]), digest=st.none() | digests, config=st.none() | digests
)
entries = st.builds(
    Entry,
    event=st.sampled_from(get_args(Event)),
    time=st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z"),
    kind=st.sampled_from(WRITING),
    image=st.just("worker"),
    reference=st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,20}\Z").map(WORKER.tagged),
    before=st.none() | states,
    after=states,
    reason=texts,
    plan=digests,
    commit=st.none() | texts,
    tool=texts,
    error=st.none() | texts,
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def written(entries: Iterable[Entry]) -> bytes:
    return "".join(map(entry_line, entries)).encode()


def test_a_line_has_these_members() -> None:
    assert json.loads(entry_line(ENTRY)) == {
        "format": "replsync.journal/1",
        "event": "wrote",
        "time": "2026-01-02T03:04:05Z",
        "kind": "update",
        "image": "worker",
        "reference": "registry.test/myapp/worker:1.0",
        "before": {"kind": "image", "digest": IMAGE.digest, "config": IMAGE.config},
        "after": {"kind": "image", "digest": OTHER.digest, "config": OTHER.config},
        "reason": "the source has another image",
        "plan": digest("plan"),
        "commit": "0123456789abcdef0123456789abcdef01234567-dirty",
        "tool": "replsync 0.1.0",
        "error": None,
    }


@given(st.lists(entries, max_size=5))
def test_what_was_written_reads_back(some: list[Entry]) -> None:
    assert read_journal(written(some), "j") == tuple(some)


@given(st.lists(entries, max_size=4), st.data())
def test_a_journal_that_was_cut_off_anywhere_is_worth_its_whole_lines(some: list[Entry], data: st.DataObject) -> None:
    whole = written(some)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    assert read_journal(cut, "j") == tuple(some[: cut.count(b"\n")])


@given(entries)
def test_an_entry_is_one_line(entry: Entry) -> None:
    assert written([entry]).count(b"\n") == 1
    assert written([entry]).endswith(b"\n")


@given(st.binary() | st.lists(st.binary(max_size=20)).map(b"\n".join))
def test_any_bytes_are_entries_or_invalid_input(data: bytes) -> None:
    _read_or_refuse(data)


@given(st.lists(st.sampled_from([*json.loads(entry_line(ENTRY)), "before.kind", "after.digest"]), min_size=1), anything)
def test_any_value_in_any_member_is_an_entry_or_invalid_input(members: list[str], value: Any) -> None:
    item = json.loads(entry_line(ENTRY))
    for member in members:
        outer, _, inner = member.partition(".")
        if inner and isinstance(item[outer], dict):
            item[outer] = {**item[outer], inner: value}
        elif not inner:
            item[outer] = value
    _read_or_refuse(json.dumps(item).encode() + b"\n")


def _read_or_refuse(data: bytes) -> None:
    try:
        found = read_journal(data, "j")
    except InvalidInput:
        return
    assert len(found) == data.count(b"\n")


@pytest.mark.parametrize("member", json.loads(entry_line(ENTRY)))
def test_a_line_without_one_of_its_members_is_refused(member: str) -> None:
    item = json.loads(entry_line(ENTRY))
    del item[member]
    with pytest.raises(InvalidInput, match="line 2 is not an entry of a journal"):
        read_journal(written([ENTRY]) + json.dumps(item).encode() + b"\n", "j")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", "replsync.journal/2"),
        ("event", "deleted"),
        ("time", 5),
        ("time", "yesterday"),
        ("time", "2026-01-02T03:04:05Z\n"),
        ("kind", "unchanged"),
        ("kind", "blocked"),
        ("image", "api"),
        ("image", "orker"),
        ("reference", 5),
        ("reference", "registry.test/myapp/worker"),
        ("reference", f"registry.test/myapp/worker:1.0@{digest('A')}"),
        ("reference", "registry.test/MyApp/worker:1.0"),
        ("before", "nothing"),
        ("before", {"kind": "chart", "digest": digest("A"), "config": None}),
        ("before", {"kind": "image", "digest": "sha256:short", "config": None}),
        ("before", {"kind": "image", "config": None}),
        ("after", None),
        ("after", {"kind": "image", "digest": digest("A"), "config": 7}),
        ("reason", None),
        ("plan", "../../etc/passwd"),
        ("commit", 1),
        ("tool", []),
        ("error", {}),
    ],
)
def test_a_line_that_says_what_no_line_says_is_refused(member: str, value: object) -> None:
    line = json.dumps({**json.loads(entry_line(ENTRY)), member: value}).encode() + b"\n"
    with pytest.raises(InvalidInput, match="line 1 is not an entry"):
        read_journal(line, "j")


@pytest.mark.parametrize(
    "data",
    [b"\n", b"version: 1\n", b"[]\n", b"7\n", b"\x7fELF\n", b"[" * 100_000 + b"\n", b'{"after":1}\n'],
    ids=["empty line", "yaml", "list", "number", "binary", "deep", "half an entry"],
)
def test_a_line_that_is_no_entry_is_refused_by_its_number(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"read the journal j\.jsonl: line 1 is not an entry"):
        read_journal(data, "j.jsonl")


@pytest.mark.parametrize("data", [b"{}", b"version: 1", b"\x7fELF\0\0"])
def test_a_file_without_a_whole_line_is_no_journal(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="it is no journal"):
        read_journal(data, "j")


@pytest.mark.parametrize("length", [0, 1, 5, 50, 300])
def test_a_journal_whose_first_line_was_cut_off_is_empty(length: int) -> None:
    assert read_journal(written([ENTRY])[:length], "j") == ()


def test_a_line_in_the_middle_that_was_cut_off_is_refused() -> None:
    line = written([ENTRY])
    with pytest.raises(InvalidInput, match="line 2 is not an entry"):
        read_journal(line + line[:40] + b"\n" + line, "j")


WRITING_LINE = replace(ENTRY, event="writing")
FAILED = replace(ENTRY, event="failed", error="the registry hung up")


LEFT = replace(ENTRY, event="left")


@pytest.mark.parametrize(
    "run",
    [[WRITING_LINE, ENTRY], [WRITING_LINE], [WRITING_LINE, FAILED]],
    ids=["read back", "killed", "failed"],
)
def test_what_was_announced_may_have_happened(run: list[Entry]) -> None:
    assert changes(run) == (Change("worker", ENTRY.reference, IMAGE, OTHER),)


def test_a_tag_that_was_left_alone_after_all_has_not_changed() -> None:
    assert changes([WRITING_LINE, LEFT]) == ()


def test_what_was_read_back_is_what_a_change_led_to() -> None:
    """A daemon chooses the digest, which is known once the tag is read back."""
    announced = replace(WRITING_LINE, after=State("image", None, OTHER.config))
    assert changes([announced, ENTRY])[0].after == OTHER


def test_a_tag_that_was_written_twice_goes_back_to_what_it_was_at_first() -> None:
    again = replace(ENTRY, kind=Kind.TOMBSTONE, before=OTHER, after=GRAVE)
    assert changes([ENTRY, again]) == (Change("worker", ENTRY.reference, IMAGE, GRAVE),)


def test_a_tag_that_did_not_exist_and_was_written_twice_goes_back_to_nothing() -> None:
    created = replace(ENTRY, kind=Kind.CREATE, before=None, after=IMAGE)
    assert changes([created, ENTRY])[0].before is None


@given(st.lists(entries))
def test_there_is_one_change_for_each_tag_in_the_order_of_the_first_writes(some: list[Entry]) -> None:
    announced = [entry for entry in some if entry.event != "left"]
    found = changes(announced)
    assert [change.reference for change in found] == list(dict.fromkeys(entry.reference for entry in announced))
    for change in found:
        own = [entry for entry in announced if entry.reference == change.reference]
        assert (change.before, change.after) == (own[0].before, own[-1].after)
