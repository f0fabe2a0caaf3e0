"""Foreign text in what is printed: no terminal and no CI runner acts on it, wherever it stands."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import ReplsyncError
from replsync.manifest.lock import CheckedSource, Lock, LockCheck, NotRead
from replsync.oci.tag_state import Absent, Artifact, TagState, Unavailable, Unreadable
from replsync.plan.action import Action
from replsync.plan.document import Plan, plan_json
from replsync.plan.journal import entry_line
from replsync.plan.report import Failed, Report
from replsync.render.harmless import clean, clean_lines
from replsync.render.history import Recorded, history_json, history_text
from replsync.render.lock import check_text, lock_changes
from replsync.render.report_text import outcome_line, report_text
from replsync.render.text import plan_text
from tests.plan.situations import SOURCE, WORKER, action, digest, listing, present, resolved, retiring, tombstone
from tests.render.runners import ALL, HOSTILE, acted_on
from tests.render.test_history import entry

TAG = WORKER.tagged("1.0")
ANY = st.text(st.one_of(st.characters(), st.sampled_from("#:[-+~^\ufe0f\u3000 \n\r\u2028\u200d\x9b"))) | st.builds(
    str.__add__, st.text(), st.sampled_from(HOSTILE)
)


@given(ANY)
def test_no_text_is_acted_on(text: str) -> None:
    assert acted_on(clean(text)) == []
    assert acted_on(f"      {clean(text)}") == []
    assert "\n" not in clean(text)
    assert acted_on(clean_lines(text)) == []


@given(ANY)
def test_text_that_is_harmless_stays_so(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    "text", ["CVE-2026-1234 – use 1.10, schönes Wochenende", "a :: b", "C# [x]", "a -- b", "日本語\u3000と\xa0空白"]
)
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_each_of_the_hostile_texts_would_be_acted_on(text: str) -> None:
    assert acted_on(text)


def plan(*made: Action, said: str) -> Plan:
    return Plan("replsync test", "2026-01-01T00:00:00Z", (), made, targets=(said,), warnings=(said,))


@pytest.mark.parametrize("hostile", [*HOSTILE, ALL])
def test_a_plan_and_its_report_show_foreign_text_harmless(hostile: str) -> None:
    retired = replace(action(retiring(), present("D")), reason=hostile)
    error = ReplsyncError(hostile, hint=hostile)
    made = plan(
        replace(retired, notes=(hostile,)),
        action(listing(), Absent(), Unavailable(hostile)),
        action(listing(), Unreadable(hostile), resolved("D")),
        action(listing(), Artifact(digest("D"), hostile), resolved("D")),
        said=hostile,
    )
    text = plan_text(made, verbose=True)
    # Reason, note and two digests; of the others a reason each, and a next move. What can't be seen takes no line.
    assert text.count("\n      ") == (9 if clean(hostile).strip() else 7)
    failed = Failed(retired, error)
    report = Report(made, (failed,))
    for said in (text, report_text(report), outcome_line(failed)):
        assert acted_on(said) == []
    for width in range(1, 60):  # wherever a line is broken
        assert acted_on(plan_text(made, width=width)) == []
        assert acted_on(report_text(report, width=width, again=hostile)) == []


@pytest.mark.parametrize("hostile", [*HOSTILE, ALL])
@pytest.mark.parametrize("kind", ["tombstone", "artifact", "unreadable"])
def test_a_history_shows_foreign_text_harmless(hostile: str, kind: str) -> None:
    now: dict[str, TagState] = {
        "tombstone": replace(GONE, epitaph=replace(GONE.epitaph, reason=hostile)),
        "artifact": Artifact(digest("D"), hostile),
        "unreadable": Unreadable(hostile),
    }
    retired = replace(entry(action(retiring("old"), present("D"))), event="failed", reason=hostile)
    recorded = [Recorded(hostile, replace(retired, error=hostile, commit=hostile, tool=hostile))]
    assert acted_on(history_text(TAG, recorded, now[kind])) == []


GONE = tombstone("D")


@pytest.mark.parametrize("hostile", [*HOSTILE, ALL])
def test_a_lock_check_shows_foreign_text_harmless(hostile: str) -> None:
    unread = CheckedSource(SOURCE, ("worker:1.0",), NotRead(digest("D"), ReplsyncError(hostile)))
    assert acted_on(check_text(LockCheck((unread,), ()))) == []
    assert acted_on(lock_changes(None, Lock(hostile, {SOURCE: digest("D")}))) == []


@pytest.mark.parametrize("hostile", [*(text for text in HOSTILE if "\ud800" not in text), ALL.replace("\ud800", "")])
def test_json_shows_foreign_text_harmless_and_says_the_same(hostile: str) -> None:
    retired = replace(action(retiring(), present("D")), reason=hostile)
    recorded = replace(entry(retired), commit=hostile, error=hostile)
    now = replace(GONE, epitaph=replace(GONE.epitaph, reason=hostile))
    document = plan_json(plan(retired, said=hostile))
    history = history_json(TAG, [Recorded(hostile, recorded)], now)
    for said in (document, entry_line(recorded), history):
        assert acted_on(said) == []
    assert json.loads(document)["actions"][0]["reason"] == hostile
    assert json.loads(entry_line(recorded))["error"] == hostile
    assert json.loads(history)["now"]["reason"] == hostile
