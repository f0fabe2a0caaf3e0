"""Plans and reports as Markdown, read back by two readers: GitHub's own, and markdown-it with its links on."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm  # type: ignore[import-untyped]
import pytest
from cmarkgfm.cmark import Options  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from replsync.errors import ReplsyncError
from replsync.oci.tag_state import Absent, Unavailable
from replsync.plan.action import Action, ByteCount
from replsync.plan.document import Plan, PlannedManifest
from replsync.plan.report import Done, Failed, Outcome, Report
from replsync.render.harmless import clean
from replsync.render.markdown import MAX_BYTES, plan_markdown, report_markdown
from replsync.render.markdown_quoting import quoted, quoted_in_table
from tests.plan.situations import WORKER, action, digest, listing, present, resolved, retiring
from tests.render.runners import HOSTILE, acted_on
from tests.render.test_text import every_kind

MANIFEST = PlannedManifest("replicated-images.yaml", digest("a"), "registry.test", "myapp")
MARKUP = (
    "a | b",
    "a \\| b",
    "a \\\\| b `| c",
    "</details>",
    "</code></td></tr></table><h1>x</h1>",
    "<!-- x",
    "--> x",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "@octocat @org/team !1 #1 GH-1 acme/app#1 &1 ~bug %1 $1",
    "https://evil.example www.evil.example mail@evil.example",
    "[a](https://evil.example) ![a](https://evil.example/a.png)",
    "*a* _b_ ~~c~~ **d** # e",
    "`",
    "``",
    "```",
    "`` ` ```` a",
    "` a",
    "a `",
    " a ",
    "\\",
    "\\`",
    "&lt;b&gt; &#64;octocat &#124;",
    "`" * 100,
    ":+1: $a$ $`a`$",
    "[^1]: a",
    "- [ ] a",
    "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d",
)
CHARACTERS = st.characters(exclude_categories=["Cs"])  # a plan's document has none: it is UTF-8
ANY = st.text(st.one_of(CHARACTERS, st.sampled_from("`|\\<>@#&*_[]()!~ \n$"))) | st.builds(
    "{}{}{}".format,
    st.text(CHARACTERS, max_size=3),
    st.sampled_from([*MARKUP, *(one.replace("\ud800", "") for one in HOSTILE)]),
    st.text(CHARACTERS, max_size=3),
)


def by_github(markdown: str) -> str:
    return str(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))


def by_markdown_it(markdown: str) -> str:
    return str(MarkdownIt("gfm-like").render(markdown))


READERS = pytest.mark.parametrize("read", [by_github, by_markdown_it])


class Seen(HTMLParser):
    """The structure of a page, in which code is a hole, and what stands in the holes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.structure: list[str] = []
        self.code: list[str] = []
        self._in_code = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.structure.append(f"<{tag} {attrs}>" if attrs else f"<{tag}>")
        if tag == "code":
            self.code.append("")
            self._in_code = True

    def handle_endtag(self, tag: str) -> None:
        self.structure.append(f"</{tag}>")
        if tag == "code":
            self._in_code = False

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data
        else:
            self.structure.append(data)

    def handle_comment(self, data: str) -> None:
        self.structure.append(f"<!--{data}-->")


def plan(*actions: Action, **more: tuple[str, ...]) -> Plan:
    return replace(Plan("replsync test", "2026-01-01T00:00:00Z", (MANIFEST,), actions), **more)  # type: ignore[arg-type]


def saying(text: str) -> Plan:
    """A plan that quotes `text` wherever foreign text can stand."""
    blocked = action(listing(), Absent(), Unavailable("x"))
    buried = replace(action(retiring(), present("D")), reason=text, notes=(text,))
    created = replace(action(listing(), Absent(), resolved("E")), reason=text, notes=(text, text))
    made = plan(replace(blocked, reason=text), buried, created, warnings=(text,), notes=(text,), targets=(text,))
    return replace(made, manifests=(replace(MANIFEST, path=text),))


def report_saying(text: str) -> Report:
    made = saying(text)
    done, failed = made.writes
    outcomes = (Done(done, digest("x")), Failed(failed, ReplsyncError(text, hint=text)))
    return Report(made, outcomes, (text,), (text,))


def test_a_plan_with_every_kind_of_action_has_the_dangerous_on_top_and_the_rest_folded() -> None:
    made = replace(every_kind(), manifests=(MANIFEST,))
    text = plan_markdown(made)
    lines = text.splitlines()
    assert re.fullmatch("<!-- replsync: plan [0-9a-f]{12} -->", lines[0])
    assert lines[1:6] == [
        "### Plan for `registry.test/myapp`",
        "",
        "| create | update | restore | tombstone | unchanged | blocked | unlisted |",
        "|--:|--:|--:|--:|--:|--:|--:|",
        "| **1** | **1** | **1** | **1** | **1** | **1** | **1** |",
    ]
    headings = [line for line in lines if line.startswith(("#### ", "<details>"))]
    assert headings == [
        "#### 1 blocked: nothing is written until that is settled",
        "#### 1 to tombstone: whoever runs the tag gets the reason instead of the image",
        "#### 1 to update: the tag is mutable, and gets another image",
        "<details><summary>worker: 1 create, 1 update, 1 restore, 1 tombstone, 1 unlisted</summary>",
    ]
    assert "list the tag under `mutable` ``" in text
    assert "| `+` create | `1.11` | `(none)` | `df7e70e50215` | 1.5 MB | `the registry has no such tag`<br>from" in text
    assert "`1.10`" not in text  # unchanged
    assert not re.search("[0-9a-f]{13}", text.replace(digest("C").removeprefix("sha256:"), ""))  # but to be copied


@READERS
def test_a_plan_reads_as_a_page(read: Callable[[str], str]) -> None:
    seen = Seen(read(plan_markdown(replace(every_kind(), manifests=(MANIFEST,)))))
    assert seen.structure.count("<table>") == 2
    assert seen.structure.count("<details>") == seen.structure.count("</details>") == 1
    assert seen.structure.count("<li>") == 3
    assert not [tag for tag in seen.structure if tag.startswith("<a")]
    assert "CVE-2026-1234, use 1.10" in seen.code


@READERS
@settings(max_examples=150)
@given(text=ANY.filter(lambda text: clean(text) != ""))
def test_whatever_is_quoted_stays_text(read: Callable[[str], str], text: str) -> None:
    """The page is the same as with a plain word in its place: no link, no mark, no cell, no end of anything."""
    for page, plain in (
        (plan_markdown(saying(text)), plan_markdown(saying("plain"))),
        (report_markdown(report_saying(text)), report_markdown(report_saying("plain"))),
    ):
        seen, expected = Seen(read(page)), Seen(read(plain))
        marker = re.compile("<!-- replsync: (plan|report) [0-9a-f]{12} -->")
        assert [marker.sub("", one) for one in seen.structure] == [marker.sub("", one) for one in expected.structure]
        assert len(seen.code) == len(expected.code)
        assert acted_on(page) == []


@READERS
@given(text=ANY)
def test_what_is_quoted_can_be_read_as_it_was(read: Callable[[str], str], text: str) -> None:
    shown = re.sub("`{2,}", lambda run: "'" * len(run[0]), clean(text))
    if len(shown) > 500 or shown == "":
        return
    (code,) = Seen(read(f"a {quoted(text)}")).code
    assert code == shown
    table = read(f"| a |\n|---|\n| a {quoted_in_table(text)} |")
    (code,) = Seen(table).code
    assert code == shown.replace("\\|", "\\ |")
    assert table.count("<td>") == 1


def test_a_long_text_is_cut_and_no_text_is_nothing() -> None:
    assert quoted("a" * 600) == f"`{'a' * 499}…`"
    assert quoted("") == ""


def test_the_marker_is_the_same_for_the_same_manifests_and_no_others() -> None:
    def marker(*manifests: PlannedManifest) -> str:
        return plan_markdown(replace(plan(), manifests=manifests)).splitlines()[0]

    other = replace(MANIFEST, app="other")
    assert marker(MANIFEST) == marker(replace(MANIFEST, sha256=digest("b")))
    assert len({marker(MANIFEST), marker(other), marker(MANIFEST, other), marker(replace(MANIFEST, path="b"))}) == 4
    assert report_markdown(Report(plan(), ())).splitlines()[0] != marker(MANIFEST)


def many(count: int, reason: str) -> Plan:
    buried = replace(action(retiring(), present("D")), reason=reason)
    created = action(listing(), Absent(), resolved("E"))
    repositories = [replace(WORKER, path=f"myapp/image-{number}") for number in range(10)]
    return plan(
        *(
            replace(one, image=f"image-{number}", reference=repository.tagged(f"1.{tag}"))
            for number, repository in enumerate(repositories)
            for tag in range(count // 10)
            for one in [buried if tag % 2 else created]
        )
    )


@READERS
@pytest.mark.parametrize("reason", ["CVE-2026-1234", "🙈|`" * 400])
def test_a_plan_that_is_too_large_is_cut_and_says_how_many_are_missing(read: Callable[[str], str], reason: str) -> None:
    text = plan_markdown(many(2000, reason))
    assert len(text.encode()) <= MAX_BYTES
    assert len(text.encode()) > MAX_BYTES - 15_000
    seen = Seen(read(text))
    assert seen.structure.count("<details>") == seen.structure.count("</details>")
    shown = {code for code in seen.code if re.fullmatch(r"image-[0-9]+:1\.[0-9]+", code)}
    rows = re.findall(r"^\| `\+` create \| `1\.[0-9]+`", text, re.MULTILINE)
    (missing,) = re.findall(r"\*\*([0-9]+) more tags are not shown here\*\*", text)
    assert int(missing) == 2000 - len(shown) - len(rows)
    assert "`replsync show PLAN`" in text


def test_with_more_room_nothing_is_missing() -> None:
    assert "not shown here" in plan_markdown(many(1000, "CVE-2026-1234"))
    text = plan_markdown(many(1000, "CVE-2026-1234"), 1_000_000)
    assert "not shown here" not in text
    assert text.count("`+` create") == 500


@settings(max_examples=30)
@given(st.text(CHARACTERS, min_size=1), st.integers(0, 12))
def test_no_text_makes_it_larger_than_a_comment_may_be(text: str, count: int) -> None:
    made = saying(text * 600)
    writes = [replace(one, notes=one.notes * count) for one in made.actions]
    wide = replace(
        made,
        actions=tuple(writes) * count,
        warnings=made.warnings * count,
        notes=made.notes * count,
        targets=made.targets * count,
        manifests=made.manifests * count,
    )
    assert len(plan_markdown(wide).encode()) <= MAX_BYTES
    failed = [Failed(one, ReplsyncError(text * 600, hint=text * 600)) for one in wide.writes]
    report = Report(wide, tuple(failed), (text * 600,) * count, (text * 600,) * count)
    assert len(report_markdown(report).encode()) <= MAX_BYTES


def test_without_changes_it_says_so() -> None:
    text = plan_markdown(plan(action(listing(), present("E"), resolved("E"))))
    assert "**No changes.** 1 unchanged, 0 unlisted." in text
    assert "<details>" not in text


def test_what_the_whole_plan_is_about_stands_below_the_counts() -> None:
    made = replace(
        plan(replace(action(retiring(), present("D")), bytes=None)),
        targets=("worker:1.*",),
        warnings=tuple(f"warning {number}" for number in range(7)),
        notes=("a note",),
    )
    lines = plan_markdown(made).splitlines()
    assert "**Partial**: only the tags that match `worker:1.*`." in lines
    assert "At least 0 B to send." in lines
    assert [line for line in lines if line.startswith("- Warning")][-2:] == [
        "- Warning: `warning 4`",
        "- Warning: and 2 more; `--format json` has them all",
    ]
    assert "- Note: `a note`" in lines


def test_a_report_has_failures_on_top_then_the_way_back_then_what_is_left() -> None:
    buried = replace(action(retiring(), present("D")), reference=WORKER.tagged("5.0"))
    created = replace(action(listing(), Absent(), resolved("E")), bytes=ByteCount(9, 9))
    others = [replace(created, reference=WORKER.tagged(tag)) for tag in ("2.0", "3.0", "4.0")]
    outcomes: tuple[Outcome, ...] = (
        Done(created, digest("E")),
        Failed(others[0], ReplsyncError("write x: no", hint="mend it")),
        Done(others[1], digest("E"), is_written=False),
    )
    report = Report(plan(created, *others, buried), outcomes, ("j.jsonl",), ("replsync rollback j.jsonl",))
    lines = report_markdown(report).splitlines()
    assert lines[1] == "### Applied in part to `registry.test/myapp`"
    assert lines[3:6] == [
        "| created | updated | restored | tombstoned | so already | failed | not done |",
        "|--:|--:|--:|--:|--:|--:|--:|",
        "| **1** | 0 | 0 | 0 | **1** | **1** | **2** |",
    ]
    body = [line for line in lines[6:] if line and not line.startswith(("| |", "|--"))]
    assert body[:-1] == [
        "#### 1 failed",
        "- `worker:2.0` create<br>`write x: no`<br>next: `mend it`",
        "#### To take this back",
        "- `replsync rollback j.jsonl`",
        "#### 2 not done",
        "- `+` `worker:4.0`",
        "- `x` `worker:5.0`",
        "<details><summary>worker: 2 as planned</summary>",
        "| `+` | `1.0` | created | `a9f51566bd67` |",
        "| `=` | `3.0` | so already | `a9f51566bd67` |",
        "</details>",
    ]
    assert body[-1].endswith("of `replicated-images.yaml`; journal `j.jsonl`.")


@pytest.mark.parametrize(
    ("actions", "outcomes", "heading"),
    [
        ([], [], "Nothing to apply to"),
        ([Absent()], [True], "Applied to"),
        ([Absent()], [], "Interrupted: nothing was written to"),
        ([present("other")], [], "Not applied to"),
    ],
)
def test_a_report_begins_with_what_it_comes_to(actions: list[Absent], outcomes: list[bool], heading: str) -> None:
    made = [action(listing(), state, resolved("E")) for state in actions]
    done = tuple(Done(one, digest("E")) for one, _ in zip(made, outcomes, strict=False))
    text = report_markdown(Report(plan(*made), done))
    assert text.splitlines()[1] == f"### {heading} `registry.test/myapp`"


def test_a_failure_that_was_written_says_so() -> None:
    created = action(listing(), Absent(), resolved("E"))
    report = Report(plan(created), (Failed(created, ReplsyncError("no room"), is_written=True),))
    assert "It is as planned all the same; only the journal doesn't have it." in report_markdown(report)


def test_the_way_back_of_many_journals_is_cut_and_counted() -> None:
    undo = tuple(f"replsync rollback {number}.jsonl" for number in range(8))
    journals = tuple(f"{number}.jsonl" for number in range(8))
    text = report_markdown(Report(plan(), (), journals, undo))
    assert "- and a rollback of each of 3 more journals" in text
    assert "`4.jsonl` and 3 more." in text
