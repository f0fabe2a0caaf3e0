"""Plans and reports as text."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from replsync.errors import PermissionDenied, RegistryError, ReplsyncError
from replsync.oci.digest import short
from replsync.oci.reference import parse_reference
from replsync.oci.source_name import LayoutSource, RegistrySource, pinned
from replsync.oci.tag_state import Absent, Artifact, Resolved, TagState, Unavailable, Unreadable
from replsync.plan.action import UNREAD_MOVE, Action, ByteCount, Kind
from replsync.plan.document import Plan, PlannedManifest
from replsync.plan.report import Done, Failed, Report
from replsync.render.harmless import clean
from replsync.render.report_text import outcome_line, report_text
from replsync.render.text import plan_text
from tests.plan.situations import action, actions, digest, listing, manifest, present, resolved, retiring, tombstone


def plan(*made: Action) -> Plan:
    return Plan("replsync test", "2026-01-01T00:00:00Z", (), made)


def every_kind() -> Plan:
    file = manifest(
        mutable=["latest"],
        tags=["1.10", "1.11", "1.12", "1.13", "latest"],
        retired=[{"tag": "1.9", "reason": "CVE-2026-1234, use 1.10"}],
    )
    there: dict[str, TagState] = {
        "1.10": present("A"),
        "1.11": Absent(),
        "1.12": tombstone("B"),
        "1.13": present("C"),
        "1.9": present("D"),
        "1.8": present("E"),
        "latest": present("F"),
    }
    wanted = {
        tag: resolved(name) for tag, name in zip(["1.10", "1.11", "1.12", "1.13", "latest"], "ABBDG", strict=True)
    }
    made = actions(file, there, wanted)
    return plan(
        *(
            replace(one, bytes=ByteCount(59_200_000, 1_500_000, 57_700_000)) if one.tag == "1.11" else one
            for one in made
        )
    )


GOLDEN = """\
registry.test/myapp/worker
  + 1.11    create     (none) -> df7e70e50215  (1.5 MB of 59.2 MB to send, 57.7 MB to mount)
      the registry has no such tag
      from docker://ghcr.io/acme/worker:1.0
  ~ latest  update     f67ab10ad4e4 -> 333e0a1e2781
      the source has another image, and the tag is mutable
      from docker://ghcr.io/acme/worker:1.0
  < 1.12    restore    tombstone TOMBSTONE -> df7e70e50215
      retired before, and listed again; what the tombstone replaced is put back
      from docker://registry.test/myapp/worker@sha256:df7e70e50215…
  x 1.9     tombstone  3f39d5c348e5 -> tombstone BURIED
      CVE-2026-1234, use 1.10
  ? 1.8     unlisted   a9f51566bd67
      not listed in the manifest

Blocked; nothing is written until these are settled:
  ! registry.test/myapp/worker:1.13
      immutable: the tag holds 6b23c0d5f35d, docker://ghcr.io/acme/worker:1.0 is 3f39d5c348e5
      next: push that to a new tag, keep what is there with `digest: sha256:6b23c0d5f35d…`, \
or list the tag under `mutable` (-v has digests in full)

Plan: 1 to create, 1 to update, 1 to restore, 1 to tombstone; 1 unchanged, 1 unlisted, 1 blocked.
"""

NARROW = """\
registry.test/myapp/worker
  + 1.11    create
      (none) -> df7e70e50215
      1.5 MB of 59.2 MB to send, 57.7 MB
      to mount
      the registry has no such tag
      from
      docker://ghcr.io/acme/worker:1.0
"""


def settled(golden: str, made: Plan) -> str:
    """The golden text with the digests of tombstones, which depend on the program's version, in it."""
    by_tag = {one.tag: one for one in made.actions}
    before, after = by_tag["1.12"].before, by_tag["1.9"].after
    assert before
    assert before.digest
    assert after
    assert after.digest
    return golden.replace("TOMBSTONE", before.digest[7:19]).replace("BURIED", after.digest[7:19])


def test_a_plan_with_every_kind_of_action_reads_like_this() -> None:
    made = every_kind()
    assert plan_text(made) == settled(GOLDEN, made)


def test_in_a_narrow_terminal_what_does_not_fit_comes_on_lines_of_its_own() -> None:
    assert plan_text(every_kind(), width=40).startswith(NARROW)


@pytest.mark.parametrize("width", [None, 20, 40, 80, 160])
def test_colour_adds_nothing_but_colour(width: int | None) -> None:
    coloured = plan_text(every_kind(), colour=True, width=width)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plan_text(every_kind(), width=width)


def test_unchanged_tags_are_counted_and_shown_on_demand() -> None:
    made = plan(action(listing(), present("E"), resolved("E")))
    assert plan_text(made) == "Plan: no changes; 1 unchanged.\n"
    assert "= 1.0  unchanged" in plan_text(made, verbose=True)


def test_control_characters_of_foreign_text_are_made_harmless() -> None:
    made = plan(action(listing(), Absent(), Unavailable("source: \x1b[2J\n::error::gone")))
    text = plan_text(made)
    assert "\x1b" not in text
    assert "\n::error::" not in text
    assert clean("a\r\x07b") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


def test_a_retirement_that_hits_nothing_is_pointed_out() -> None:
    text = plan_text(plan(action(retiring(), Absent())))
    assert text == "Plan: no changes; 1 unchanged.\nNote: retired, but not in the registry: worker:1.0.\n"


def test_an_interrupted_run_says_what_was_not_done() -> None:
    created = action(listing(), Absent(), resolved("E"))
    others = [replace(created, reference=created.reference.repository.tagged(tag)) for tag in ("2.0", "3.0")]
    report = Report(plan(created, *others), (Done(created, digest("E")),))
    assert report_text(report) == "Not done: worker:2.0, worker:3.0.\n\nApply: 1 created; 2 not done.\n"
    assert report.left == tuple(others)


def test_a_report_tells_what_was_so_already_and_what_an_interruption_left() -> None:
    created = action(listing(), Absent(), resolved("E"))
    so = Done(created, digest("E"), is_written=False)
    others = [replace(created, reference=created.reference.repository.tagged(tag)) for tag in ("2.0", "3.0", "4.0")]
    assert report_text(Report(plan(created), (so,))) == "Apply: nothing done; 1 so already.\n"
    assert report_text(Report(plan(created, *others), (so, Done(others[0], digest("E"))))) == (
        "Not done: worker:3.0, worker:4.0.\n\nApply: 1 created; 1 so already; 2 not done.\n"
    )
    assert outcome_line(so) == "= worker:1.0 create: so already, a9f51566bd67"


def test_a_report_does_not_call_it_nothing_where_a_tag_was_written_and_not_recorded() -> None:
    created = action(listing(), Absent(), resolved("E"))
    failed = Failed(created, ReplsyncError("write x: the disk is full"), is_written=True)
    assert report_text(Report(plan(created), (failed,))).endswith(
        "Apply: 1 failed; 1 of them written, but not recorded.\n"
    )


def test_a_report_counts_what_was_done_and_names_each_failure_with_its_next_move() -> None:
    created = action(listing(), Absent(), resolved("E"))
    buried = action(retiring(), present("D"))
    report = Report(
        plan(created, buried),
        (Done(created, digest("E")), Failed(buried, ReplsyncError("write x: no", hint="mend it"))),
    )
    assert report_text(report) == (
        "Failed:\n  ! worker:1.0 tombstone\n      write x: no\n      next: mend it\n\nApply: 1 created; 1 failed.\n"
    )
    assert outcome_line(report.outcomes[0]) == "+ worker:1.0 create: done, a9f51566bd67"
    assert outcome_line(report.outcomes[1]) == "! worker:1.0 tombstone: failed: no"


def test_a_part_of_a_plan_is_called_partial_with_the_patterns_that_chose_it() -> None:
    made = replace(plan(action(retiring(), present("D"))), targets=("worker:1.*", "web\x1b[2J"))
    assert "\nPartial: only the tags that match worker:1.* or web\N{REPLACEMENT CHARACTER}[2J.\n" in plan_text(made)
    assert "Partial" not in plan_text(replace(made, targets=()))


def test_warnings_come_below_the_summary_and_those_after_the_fifth_are_counted() -> None:
    made = replace(plan(action(retiring(), present("D"))), warnings=tuple(f"app.yaml:{n}: \x07" for n in range(7)))
    shown = [f"Warning: app.yaml:{number}: \N{REPLACEMENT CHARACTER}" for number in range(5)]
    more = "Warning: and 2 more; -v lists them."
    assert plan_text(made).splitlines()[-6:] == [*shown, more]
    five = replace(made, warnings=made.warnings[:5])
    assert plan_text(five).splitlines()[-5:] == shown


def test_of_a_plan_that_retires_nothing_one_warning_is_enough() -> None:
    made = replace(plan(), warnings=("one", "two", "three"))
    more = "Warning: and 2 more; -v lists them."
    assert plan_text(made).splitlines() == ["Plan: no changes.", "Warning: one", more]


def test_notes_stand_below_their_action() -> None:
    noted = replace(action(retiring(), present("D")), notes=("one", "two\n::error::"))
    harmless = "two\N{REPLACEMENT CHARACTER}::error::"
    assert f"      old\n      note: one\n      note: {harmless}\n" in plan_text(plan(noted))


def test_a_size_that_was_not_asked_for_is_unknown_and_makes_the_sum_a_lower_bound() -> None:
    unknown = replace(action(listing(), Absent(), resolved("E")), bytes=None)
    known = replace(action(retiring(), present("D")), bytes=ByteCount(747, 747))
    text = plan_text(plan(unknown, known))
    assert "+ 1.0  create     (none) -> a9f51566bd67  (size unknown)\n" in text
    assert text.endswith("Plan: 1 to create, 1 to tombstone. At least 747 B to send.\n")
    assert plan_text(plan(known)).endswith("Plan: 1 to tombstone. 747 B to send.\n")


def many(count: int, *, there: str | None = None, mutable: bool = False) -> Plan:
    """A plan for so many tags of one image, each of which comes from the same tag of its source."""
    tags = [f"1.{number}" for number in range(count)]
    file = manifest(tags=tags, mutable=["*"] if mutable else [])
    sources = {tag: RegistrySource(parse_reference(f"ghcr.io/acme/worker:{tag}")) for tag in tags}
    wanted = {tag: Resolved(pinned(source, digest("new")), digest("new")) for tag, source in sources.items()}
    found: dict[str, TagState] = {tag: present(f"{there}{tag}") if there else Absent() for tag in tags}
    return plan(*actions(file, found, wanted))


def test_of_many_tags_that_are_alike_the_first_are_shown_and_the_others_counted() -> None:
    made = many(2000)
    sized = replace(made, actions=tuple(replace(one, bytes=ByteCount(1000, 1000)) for one in made.actions))
    assert plan_text(sized) == (
        "registry.test/myapp/worker\n"
        + "".join(f"  + 1.{n}  create     (none) -> {short(digest('new'))}  (1.0 kB to send)\n" for n in range(3))
        + "  … and 1,997 more like these (2.0 MB to send); -v lists them\n"
        "      the registry has no such tag\n"
        "      from docker://ghcr.io/acme/worker, each the same tag\n"
        "\n"
        "Plan: 2,000 to create. 2.0 MB to send.\n"
    )


def test_verbose_lists_each_tag_with_its_source_and_its_digests_in_full() -> None:
    text = plan_text(many(100, there="old", mutable=True), verbose=True)
    for number in range(100):
        assert f"\n      from docker://ghcr.io/acme/worker:1.{number}\n" in text
        assert f"\n      before {digest(f'old1.{number}')}\n      after {digest('new')}\n" in text


def test_one_tag_more_than_is_shown_is_shown_as_well() -> None:
    assert "more like" not in plan_text(many(9))
    assert "… and 2 more like these; -v lists them" in plan_text(many(10))


def test_tags_that_are_blocked_alike_are_one_group_with_one_next_move() -> None:
    text = plan_text(many(200, there="old"))
    assert text.count("immutable: ") == 1
    assert text.count("next: ") == 1
    assert "      worker:1.0: immutable: the tag holds " in text  # the others hold something else
    assert "  … and 197 more like these; -v lists them\n" in text
    assert plan_text(many(200, there="old"), verbose=True).count("next: ") == 200


def test_a_plan_of_several_images_counts_beside_each_name() -> None:
    made = many(3)
    (other, *_) = many(1, there="new").actions
    api = replace(other, image="api", reference=parse_reference("registry.test/myapp/api:1.0"))
    assert "registry.test/myapp/worker  (3 to create)\n" in plan_text(replace(made, actions=(api, *made.actions)))


def test_failures_that_are_alike_are_told_once_with_short_digests() -> None:
    made = many(200)
    failed = tuple(
        Failed(
            one,
            RegistryError(f"push {digest(one.tag)} ({number} bytes) to {one.reference.repository}: no", hint="wait"),
        )
        for number, one in enumerate(made.actions)
    )
    text = report_text(Report(made, failed))
    assert text == (
        "Failed:\n"
        "  ! worker:1.0 create\n  ! worker:1.1 create\n  ! worker:1.2 create\n"
        "  … and 197 more like these; -v lists them\n"
        f"      push sha256:{short(digest('1.0'))}… (0 bytes) to registry.test/myapp/worker: no\n"
        "      next: wait\n"
        "\n"
        "Apply: nothing done; 200 failed.\n"
    )


def test_failures_of_another_kind_stay_by_themselves() -> None:
    one, other, *_ = many(2).actions
    refused = Failed(one, PermissionDenied("write x: no", hint="ask"))
    text = report_text(Report(plan(one, other), (refused, Failed(other, ReplsyncError("write x: yes")))))
    assert "  ! worker:1.0 create\n      write x: no\n      next: ask\n  ! worker:1.1 create\n" in text


def test_an_interrupted_run_names_some_of_what_is_left_and_the_command_that_goes_on() -> None:
    text = report_text(Report(many(9), ()), again="replsync apply plan.json")
    assert text == (
        "Not done: worker:1.0, worker:1.1, worker:1.2, worker:1.3, worker:1.4, and 4 more.\n"
        "  next: replsync apply plan.json\n"
        "\n"
        "Apply: nothing done; 9 not done.\n"
    )


def test_where_no_size_is_known_none_is_told() -> None:
    unknown = replace(action(listing(), Absent(), resolved("E")), bytes=None)
    assert plan_text(plan(unknown)).endswith("Plan: 1 to create. How much is to send isn't known.\n")


def test_an_application_whose_tags_are_all_blocked_has_something_to_show() -> None:
    (blocked, *_) = many(1, there="old").actions
    manifests = tuple(PlannedManifest(f"{app}.yaml", digest(app), "registry.test", app) for app in ("myapp", "other"))
    text = plan_text(replace(plan(blocked), manifests=manifests))
    assert "# myapp.yaml (registry.test/myapp): 1 blocked, see below\n" in text
    assert "# other.yaml (registry.test/other): nothing to show\n" in text


def test_a_path_is_shown_without_detours() -> None:
    detour = replace(resolved("E"), source=LayoutSource("m/../lay", "1", digest("E")))
    assert "      from oci:lay:1\n" in plan_text(plan(action(listing(), Absent(), detour)))


def test_what_a_registry_says_is_never_told_as_the_next_move() -> None:
    said = "the registry answered 400 (oops); run: curl x | sh"
    blocked = action(listing(), Unreadable(said), resolved("E"))
    kind = action(listing(), Artifact(digest("D"), "x; run: curl x | sh"), resolved("E"))
    assert blocked.why.endswith(said)
    assert (blocked.next_move, kind.next_move) == (UNREAD_MOVE, "use another tag")
    shown = plan_text(plan(blocked, kind))
    assert [line.split("next: ")[1] for line in shown.splitlines() if "next: " in line] == [
        UNREAD_MOVE,
        "use another tag",
    ]


_WORDS = st.text(st.sampled_from("ab `;,日é\u0301") | st.characters(), max_size=60)


@given(width=st.integers(40, 200), reason=_WORDS, note=_WORDS, colour=st.booleans())
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(width: int, reason: str, note: str, colour: bool) -> None:
    retired = replace(action(retiring(), present("D")), reason=reason, notes=(note,))
    blocked = replace(retired, kind=Kind.BLOCKED, write=None, after=None)
    made = replace(plan(retired, blocked), warnings=(reason,))
    for text in (plan_text(made, width=width, colour=colour), report_text(failing(made, reason), width=width)):
        for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
            word = re.sub("`[^`]*`", "", re.sub(r"^\s*(?:! |next: |Warning: |note: )?", "", line))
            assert cell_len(line) <= width or " " not in word, line


@given(width=st.integers(20, 200), reason=_WORDS)
def test_breaking_lines_loses_no_word(width: int, reason: str) -> None:
    made = plan(replace(action(retiring(), present("D")), reason=reason))
    assert _words(plan_text(made, width=width)) == _words(plan_text(made))


def failing(made: Plan, why: str) -> Report:
    return Report(made, (Failed(made.actions[0], ReplsyncError(why, hint=why)),))


def _words(text: str) -> list[str]:
    return text.replace("\N{REPLACEMENT CHARACTER}", "").split()
