"""What is known of one tag, as text and as JSON."""

import json
from dataclasses import replace

import pytest

from replsync.oci.digest import short
from replsync.oci.tag_state import Absent, Artifact, TagState, Unreadable
from replsync.plan.action import Action
from replsync.plan.journal import Entry
from replsync.render.history import Recorded, history_json, history_text
from tests.plan.situations import WORKER, action, digest, listing, present, resolved, retiring, tombstone

TAG = WORKER.tagged("1.0")
JOURNAL = ".replsync/journal/1.jsonl"


def entry(made: Action, time: str = "2026-01-01T00:00:00Z") -> Entry:
    """What a run would record of an action that it carried out."""
    return Entry(
        *("wrote", time, made.kind, made.image, made.reference, made.before, made.after, made.reason),
        *(digest("plan"), "0123456789abcdef" * 2 + "01234567-dirty", "replsync test"),
    )


CREATED = entry(action(listing(), Absent(), resolved("D")))
RETIRED = entry(action(retiring("CVE-1"), present("D")), "2026-01-02T00:00:00Z")
GONE = tombstone("D", "CVE-1")
TEXT = f"""\
registry.test/myapp/worker:1.0
  2026-01-01T00:00:00Z  + create     (none) -> 3f39d5c348e5
      the registry has no such tag
      plan {short(digest("plan"))}, commit 0123456789ab-dirty, {JOURNAL}
  2026-01-02T00:00:00Z  x tombstone  3f39d5c348e5 -> tombstone {short(GONE.digest)}
      CVE-1
      plan {short(digest("plan"))}, commit 0123456789ab-dirty, {JOURNAL}
  now                     tombstone {short(GONE.digest)}, in place of 3f39d5c348e5, which can be put back
      CVE-1
"""


def test_a_history_reads_like_this() -> None:
    assert history_text(TAG, [Recorded(JOURNAL, CREATED), Recorded(JOURNAL, RETIRED)], GONE) == TEXT


def test_without_git_no_commit_is_named() -> None:
    text = history_text(TAG, [Recorded(JOURNAL, replace(CREATED, commit=None))], present("D"))
    assert f"      plan {short(digest('plan'))}, {JOURNAL}\n" in text


def test_what_is_not_certain_is_called_so_with_the_reason() -> None:
    cut_off = replace(CREATED, event="writing")
    failed = replace(CREATED, event="failed", error="read x: no answer")
    text = history_text(TAG, [Recorded(JOURNAL, cut_off), Recorded(JOURNAL, failed)], Absent())
    assert "\n      uncertain: the run ended before the tag was read back\n" in text
    assert "\n      uncertain: the tag could not be read back: read x: no answer\n" in text
    assert "uncertain" not in history_text(TAG, [Recorded(JOURNAL, CREATED)], Absent())


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (present("D"), "image 3f39d5c348e5"),
        (Absent(), "the registry has no such tag"),
        (Unreadable("no \x1b[2Janswer"), "can't be read: no \N{REPLACEMENT CHARACTER}[2Janswer"),
        (Artifact(digest("D"), "a/\x07b"), "3f39d5c348e5, an artifact of type a/\N{REPLACEMENT CHARACTER}b"),
        (tombstone("D", readable=False), "in place of 3f39d5c348e5, which can't be read any more\n      old"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_tag_is_now_comes_last(now: TagState, said: str) -> None:
    text = history_text(TAG, [], now)
    assert text.startswith(f"{TAG}\n  no run that left a journal here wrote it\n  now  ")
    assert text.endswith(f"{said}\n")


def test_control_characters_of_a_journal_are_made_harmless() -> None:
    foul = replace(CREATED, event="failed", reason="\x1b[2J", error="a\nb", commit="\x07")
    text = history_text(TAG, [Recorded(JOURNAL, foul)], Absent())
    assert not set(text) & {"\x1b", "\x07"}
    assert "a\nb" not in text


def test_as_json_it_says_the_same() -> None:
    document = json.loads(history_json(TAG, [Recorded(JOURNAL, RETIRED)], GONE))
    assert document == {
        "reference": "registry.test/myapp/worker:1.0",
        "journal": [
            {
                "event": "wrote",
                "time": "2026-01-02T00:00:00Z",
                "kind": "tombstone",
                "image": "worker",
                "reference": "registry.test/myapp/worker:1.0",
                "before": {"kind": "image", "digest": digest("D"), "config": digest("D's config")},
                "after": {"kind": "tombstone", "digest": GONE.digest, "config": GONE.config},
                "reason": "CVE-1",
                "plan": digest("plan"),
                "commit": "0123456789abcdef" * 2 + "01234567-dirty",
                "tool": "replsync test",
                "error": None,
                "journal": JOURNAL,
            }
        ],
        "now": {
            "kind": "tombstone",
            "digest": GONE.digest,
            "reason": "CVE-1",
            "replaces": digest("D"),
            "replaced_is_readable": True,
        },
    }


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (present("D"), {"kind": "image", "digest": digest("D")}),
        (Absent(), {"kind": "absent"}),
        (Unreadable("why"), {"kind": "unreadable", "why": "why"}),
        (Artifact(digest("D"), "a/b"), {"kind": "artifact", "digest": digest("D"), "type": "a/b"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_as_json_every_state_has_its_kind(now: TagState, said: dict[str, str]) -> None:
    assert json.loads(history_json(TAG, [], now))["now"] == said
