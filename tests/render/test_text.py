"""Plans and reports as text."""

from dataclasses import replace

from replsync.errors import ReplsyncError
from replsync.oci.tag_state import Absent, TagState, Unavailable
from replsync.plan.action import Action, ByteCount
from replsync.plan.document import Plan
from replsync.plan.report import Done, Failed, Report
from replsync.render.harmless import clean
from replsync.render.text import outcome_line, plan_text, report_text
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
    return plan(*(replace(one, bytes=ByteCount(9, 1_500_000, 20)) if one.tag == "1.11" else one for one in made))


GOLDEN = """\
registry.test/myapp/worker
  ? 1.8     unlisted   a9f51566bd67
      not listed in the manifest
  x 1.9     tombstone  3f39d5c348e5 -> tombstone BURIED
      CVE-2026-1234, use 1.10
  + 1.11    create     (none) -> df7e70e50215  (1.5 MB to send, 20 B to mount)
      the registry has no such tag
      from docker://ghcr.io/acme/worker:1.0
  < 1.12    restore    tombstone TOMBSTONE -> df7e70e50215
      retired before, and listed again; what the tombstone replaced is put back
      from docker://registry.test/myapp/worker@sha256:df7e70e5021544f4834bbee64a9e3789febc4be81470df629cad6ddb03320a5c
  ~ latest  update     f67ab10ad4e4 -> 333e0a1e2781
      the source has another image, and the tag is mutable
      from docker://ghcr.io/acme/worker:1.0

Blocked; nothing is written until these are settled:
  ! registry.test/myapp/worker:1.13
      immutable: the tag holds 6b23c0d5f35d, docker://ghcr.io/acme/worker:1.0 is 3f39d5c348e5; push that to a new tag, \
keep what is there with `digest: sha256:6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d`, \
or list the tag under `mutable`

Plan: 1 to create, 1 to update, 1 to restore, 1 to tombstone; 1 unchanged, 1 unlisted, 1 blocked.
"""


def test_a_plan_with_every_kind_of_action_reads_like_this() -> None:
    made = every_kind()
    by_tag = {one.tag: one for one in made.actions}
    before, after = by_tag["1.12"].before, by_tag["1.9"].after
    assert before
    assert before.digest
    assert after
    assert after.digest
    expected = GOLDEN.replace("TOMBSTONE", before.digest[7:19]).replace("BURIED", after.digest[7:19])
    assert plan_text(made) == expected


def test_colour_adds_nothing_but_colour() -> None:
    import re

    coloured = plan_text(every_kind(), colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plan_text(every_kind())


def test_unchanged_tags_are_counted_and_shown_on_demand() -> None:
    made = plan(action(listing(), present("E"), resolved("E")))
    assert plan_text(made) == "Plan: no changes; 1 unchanged.\n"
    assert "= 1.0  unchanged" in plan_text(made, unchanged=True)


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
    assert report_text(report) == "Apply: 1 created; 2 not done.\n"
    assert report.left == tuple(others)


def test_a_report_tells_what_was_so_already_and_what_an_interruption_left() -> None:
    created = action(listing(), Absent(), resolved("E"))
    so = Done(created, digest("E"), is_written=False)
    others = [replace(created, reference=created.reference.repository.tagged(tag)) for tag in ("2.0", "3.0", "4.0")]
    assert report_text(Report(plan(created), (so,))) == "Apply: nothing done; 1 so already.\n"
    assert report_text(Report(plan(created, *others), (so, Done(others[0], digest("E"))))) == (
        "Apply: 1 created; 1 so already; 2 not done.\n"
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
    assert outcome_line(report.outcomes[1]) == "! worker:1.0 tombstone: failed: write x: no"


def test_a_part_of_a_plan_is_called_partial_with_the_patterns_that_chose_it() -> None:
    made = replace(plan(action(retiring(), present("D"))), targets=("worker:1.*", "web\x1b[2J"))
    assert "\nPartial: only the tags that match worker:1.* or web\N{REPLACEMENT CHARACTER}[2J.\n" in plan_text(made)
    assert "Partial" not in plan_text(replace(made, targets=()))


def test_warnings_come_below_the_summary_and_those_after_the_fifth_are_counted() -> None:
    made = replace(plan(action(retiring(), present("D"))), warnings=tuple(f"app.yaml:{n}: \x07" for n in range(7)))
    shown = [f"Warning: app.yaml:{number}: \N{REPLACEMENT CHARACTER}" for number in range(5)]
    more = "Warning: and 2 more; --format json has them all."
    assert plan_text(made).splitlines()[-6:] == [*shown, more]
    five = replace(made, warnings=made.warnings[:5])
    assert plan_text(five).splitlines()[-5:] == shown


def test_of_a_plan_that_retires_nothing_one_warning_is_enough() -> None:
    made = replace(plan(), warnings=("one", "two", "three"))
    more = "Warning: and 2 more; --format json has them all."
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
