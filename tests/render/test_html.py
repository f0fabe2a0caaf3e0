"""Plans and reports as pages, in a real browser: nothing runs or loads but what is theirs, and all can use them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from replsync.errors import ReplsyncError
from replsync.oci.image_manifest import OCI_LAYER, Descriptor
from replsync.oci.reference import Reference, Repository
from replsync.plan.action import WRITING, Action, ByteCount, Kind, State
from replsync.plan.document import Plan
from replsync.plan.journal import Entry
from replsync.plan.planner import in_order
from replsync.plan.report import Done, Failed, Report
from replsync.render.details import Details
from replsync.render.history import Recorded
from replsync.render.html import plan_html, report_html
from tests.plan.saved_plans import blocked, every_kind, several
from tests.plan.situations import TARGET, digest
from tests.render.runners import ALL, acted_on

IMAGES = ("api", "worker")
SCRIPT = "<script>window.fake = 1</script>"
HOSTILE = f"""{SCRIPT}"><img src=x onerror="window.fake=1"></style></script>{SCRIPT}
<a href='javascript:window.fake=1'>x</a>
{{{{ 7 * 7 }}}}{{% raw %}}`<b>`{ALL}""".replace("\ud800", "")


@dataclass
class Opened:
    """A page, and what was heard of it: what its console and its errors said, and the addresses it asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        """The tags in the list that can be seen."""
        seen: list[str] = self.page.locator("details.tag:visible").evaluate_all("all => all.map(one => one.id)")
        return seen

    def unfold(self) -> None:
        """Open whatever is folded."""
        self.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")

    @property
    def counted(self) -> str:
        """What the filter says it found."""
        return self.page.get_by_role("status").inner_text()


Open = Callable[..., Opened]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page from a file, as who was sent it does; options are those of a context."""

    def open_(html: str, fragment: str = "", **options: Any) -> Opened:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        page = browser.new_context(**{"reduced_motion": "reduce", **options}).new_page()
        one = Opened(page)
        page.on("console", lambda message: one.said.append(message.text))
        page.on("pageerror", lambda error: one.said.append(str(error)))
        page.on("request", lambda request: one.asked.append(request.url))
        page.goto(path.as_uri() + fragment)
        return one

    yield open_
    for context in browser.contexts:
        context.close()


def tag(kind: Kind, image: str, name: str, reason: str = "because", size: int | None = None) -> Action:
    """An action as it may stand in a plan, as far as a page looks at it."""
    reference = TARGET.repository(image).tagged(name)
    old, new = State("image", digest(f"old {reference}")), State("image", digest(str(reference)))
    before = None if kind is Kind.CREATE else old
    after = new if kind in WRITING else old if kind is Kind.UNCHANGED else None
    (copy,) = (one.write for one in every_kind().actions if one.tag == "1.0")
    moved = ByteCount(size or 100, size or 60, 0) if kind in WRITING else ByteCount()
    return Action(kind, image, reference, before, after, reason, copy if kind in WRITING else None, moved)


def plan(*actions: Action, **more: Any) -> Plan:
    return replace(every_kind(), **{"actions": in_order(actions), "targets": (), "warnings": (), "notes": (), **more})


def small() -> Plan:
    return plan(
        tag(Kind.CREATE, "api", "1.10"),
        tag(Kind.UNCHANGED, "api", "1.9"),
        tag(Kind.UPDATE, "api", "latest", "the source has another image"),
        tag(Kind.CREATE, "worker", "1.10"),
        tag(Kind.TOMBSTONE, "worker", "1.9", "CVE-2026-1234, use 1.10"),
        tag(Kind.UNCHANGED, "worker", "latest"),
        tag(Kind.UNLISTED, "worker", "debug"),
    )


def layer(name: str, size: int) -> Descriptor:
    return Descriptor(OCI_LAYER, digest(name), size)


def details(made: Plan) -> Details:
    """Every image on one base, each tag with something of its own, and each was written once before."""
    base = layer("base", 50_000_000)
    layers: dict[Reference, tuple[Descriptor, ...]] = {
        one.reference: (base, layer(one.image, 8_000_000), layer(one.label, 9_000_000), layer(f"{one.label}+", 70))
        for one in made.actions
    }
    return Details(layers, {one.reference: (recorded(one),) for one in made.actions})


def recorded(action: Action, reason: str = "it was not there", journal: str = ".replsync/journal/1.jsonl") -> Recorded:
    state = action.before or action.after
    at = "2026-01-01T00:00:00Z"
    plan = digest("plan")
    reference = action.reference
    entry = Entry("wrote", at, Kind.CREATE, action.image, reference, None, state, reason, plan, "0" * 40, "replsync")
    return Recorded(journal, entry)


def failed() -> Report:
    """Of four writes one is done, one was so already, one failed, and one was not got to."""
    made = small()
    done, so, wrong, _ = made.writes
    assert done.after
    assert done.after.digest
    error = ReplsyncError("push worker:1.10: the registry answered 524", hint="set `oversize_layers: split`")
    outcomes = (Done(done, done.after.digest), Done(so, digest("so"), is_written=False), Failed(wrong, error))
    return Report(made, outcomes, (".replsync/journal/2.jsonl",), ("replsync rollback .replsync/journal/2.jsonl",))


def large(images: int = 10, tags: int = 200) -> Plan:
    kinds = [Kind.CREATE, Kind.UPDATE, Kind.TOMBSTONE, *[Kind.UNCHANGED] * 17]
    return plan(
        *(
            tag(
                kinds[(image + number) % len(kinds)],
                f"image{image}",
                f"{number // 50 + 1}.{number // 10 % 5}.{number % 10}",
            )
            for image in range(images)
            for number in range(tags)
        )
    )


PAGES = {
    "every kind": lambda: plan_html(every_kind(), details(every_kind())),
    "several": lambda: plan_html(several()),
    "blocked": lambda: plan_html(blocked(), details(blocked())),
    "small": lambda: plan_html(small(), details(small())),
    "nothing": lambda: plan_html(plan(), Details({})),
    "report": lambda: report_html(failed(), details(small())),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_and_breaks_none_of_its_own_rules(opened: Open, name: str) -> None:
    one = opened(PAGES[name]())
    assert one.said == []
    assert one.asked == [one.page.url]
    assert one.page.get_by_role("searchbox").is_visible()  # its script is among what its rules allow


def test_words_of_others_are_shown_and_never_run(opened: Open) -> None:
    made = small()
    worse = [replace(one, reason=HOSTILE, notes=(HOSTILE,)) for one in made.actions]
    (listed,) = made.manifests
    made = replace(
        made,
        tool=HOSTILE,
        created_at=HOSTILE,
        actions=tuple(worse),
        targets=(HOSTILE,),
        warnings=(HOSTILE,),
        notes=(HOSTILE,),
        manifests=(replace(listed, path=HOSTILE, app=f"myapp{HOSTILE}"),),
    )
    told = replace(details(made), history={one.reference: (recorded(one, HOSTILE, HOSTILE),) for one in made.actions})
    wrong = Failed(made.writes[0], ReplsyncError(HOSTILE, hint=HOSTILE))
    for html in (plan_html(made, told), report_html(Report(made, (wrong,), (HOSTILE,), (HOSTILE,)), told)):
        one = opened(html)
        one.unfold()
        assert one.page.evaluate("window.fake") is None
        assert one.said == []
        assert one.asked == [one.page.url]
        assert one.page.locator("img, b script, a[href^='javascript']").count() == 0
        assert one.page.locator("script, style").count() == 2
        assert SCRIPT in one.page.locator("#first").inner_text()
        assert "{{ 7 * 7 }}" in one.page.locator("#about").inner_text()
        assert acted_on(html) == []


def test_without_javascript_everything_is_there(opened: Open) -> None:
    one = opened(PAGES["small"](), java_script_enabled=False)
    page = one.page
    assert one.shown == [
        *(f"api:{name}" for name in ("latest", "1.10", "1.9")),
        *(f"worker:{name}" for name in ("debug", "1.10", "1.9", "latest")),
    ]
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.get_by_role("button")).to_have_count(0)  # nothing that would do nothing
    page.get_by_role("table", name="Images and their tags").get_by_role("link", name="worker:1.9, tombstone").click()
    detail = page.locator("[id='worker:1.9']")
    expect(detail).to_be_in_viewport()
    detail.locator("summary").click()
    expect(detail.get_by_text("it was not there")).to_be_visible()


def test_the_filter_takes_words_and_kinds_and_says_how_many_tags_are_left(opened: Open) -> None:
    one = opened(PAGES["small"]())
    assert one.counted == "7 tags"
    one.page.get_by_label("Filter", exact=True).fill("WORKER cve")
    expect(one.page.get_by_role("status")).to_have_text("1 of 7 tags")
    assert one.shown == ["worker:1.9"]
    assert one.page.locator("#matrix a:visible").all_inner_texts() == ["x"]
    assert one.page.locator("#matrix thead th:visible").all_inner_texts() == ["Image", "1.9"]
    one.page.get_by_role("button", name="Clear").click()
    assert one.counted == "7 tags"
    assert len(one.shown) == 7
    for kind in ("create", "tombstone"):
        one.page.get_by_role("checkbox", name=kind).check()
    assert one.counted == "3 of 7 tags"
    assert one.shown == ["api:1.10", "worker:1.10", "worker:1.9"]
    one.page.get_by_label("Filter", exact=True).fill("nothing has this")
    expect(one.page.get_by_text("No tag matches the filter.")).to_be_visible()


def test_a_filter_can_be_sent_to_somebody_as_an_address(opened: Open) -> None:
    first = opened(PAGES["small"]())
    first.page.get_by_role("checkbox", name="create").check()
    first.page.get_by_label("Filter", exact=True).fill("api")
    expect(first.page.get_by_role("status")).to_have_text("1 of 7 tags")
    second = opened(PAGES["small"](), "#" + first.page.url.partition("#")[2])
    assert second.shown == ["api:1.10"]
    assert second.page.get_by_role("checkbox", name="create").is_checked()
    assert second.page.get_by_role("searchbox").input_value() == "api"


def test_a_link_to_a_tag_opens_it_even_if_a_filter_hides_it(opened: Open) -> None:
    page = opened(PAGES["small"](), "#worker:latest").page
    expect(page.locator("[id='worker:latest'] dl")).to_be_visible()
    expect(page.locator("[id='worker:latest'] summary")).to_be_focused()
    page.get_by_label("Filter", exact=True).fill("api")
    expect(page.get_by_role("status")).to_have_text("3 of 7 tags")
    page.locator("#first").get_by_role("link", name="worker:1.9").click()
    expect(page.locator("[id='worker:1.9'] dl")).to_be_visible()


def test_the_keyboard_reaches_everything(opened: Open) -> None:
    page = opened(PAGES["small"]()).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the tags")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the tags")).to_be_in_viewport()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("a/b")
    assert page.get_by_role("searchbox").input_value() == "a/b"
    page.keyboard.press("Escape")
    assert page.get_by_role("searchbox").input_value() == ""
    matrix = page.get_by_role("table", name="Images and their tags")
    matrix.get_by_role("link", name="api:latest").focus()
    page.keyboard.press("ArrowRight")
    expect(matrix.get_by_role("link", name="api:1.10")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(matrix.get_by_role("link", name="worker:1.10")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[id='worker:1.10'] summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[id='worker:1.10'] dl")).to_be_hidden()
    page.locator("#bars rect[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#layer").inner_text() == page.locator("#bars rect:focus title").text_content()
    page.keyboard.press("ArrowDown")
    assert "8.0 MB" in page.locator("#layer").inner_text()


def test_tab_goes_to_everything_in_turn_and_where_it_is_can_be_seen(opened: Open) -> None:
    page = opened(PAGES["small"]()).page
    reached = 0
    for _ in range(200):
        page.keyboard.press("Tab")
        where = page.evaluate(
            """() => { const at = document.activeElement; if (at === document.body) return null;
            const style = getComputedStyle(at); return [at.tagName, style.outlineStyle, style.strokeWidth]; }"""
        )
        if where is None:
            break
        assert where[1] != "none" or (where[0] == "rect" and where[2] == "3px"), where
        reached += 1
    assert reached > page.locator("summary:visible, a:visible, button:visible, input:visible").count()


CONTRASTS = """() => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const parts = (colour) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data]; };
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!text || !element.checkVisibility() || element.closest("title, script, .vh, .skip")) continue;
    const inSvg = element.closest("svg");
    const colour = inSvg ? getComputedStyle(element).fill : getComputedStyle(element).color;
    const below = inSvg ? getComputedStyle(element.previousElementSibling).fill : ground(element);
    found.push([ratio(colour, below), element.outerHTML.slice(0, 100)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["every kind", "blocked", "small", "report"])
def test_every_text_stands_out_from_what_is_behind_it(opened: Open, name: str, scheme: str) -> None:
    one = opened(PAGES[name](), color_scheme=scheme)
    one.unfold()
    page = one.page
    found = page.evaluate(CONTRASTS)
    assert len(found) > 50
    assert [(ratio, where) for ratio, where in found if ratio < 4.5] == []


AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_that_keeps_people_from_using_the_page(opened: Open, name: str, scheme: str) -> None:
    one = opened(PAGES[name](), color_scheme=scheme)
    one.unfold()
    page = one.page
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20


def test_a_screen_reader_finds_landmarks_headings_and_names(opened: Open) -> None:
    page = opened(PAGES["small"]()).page
    seen = page.locator("body").aria_snapshot()
    for landmark in ("banner:", "navigation ", "main:", 'search "Filter the tags"', "contentinfo:"):
        assert f"- {landmark}" in seen
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for link in ("worker:1.9, tombstone", "api:latest, update", "api:1.9, unchanged"):
        assert f'link "{link}"' in seen
    headers = page.locator("th").evaluate_all("all => all.map(one => one.scope)")
    assert set(headers) <= {"row", "col", "rowgroup"}
    assert 'img "50.0 MB, A: ' in seen


@pytest.mark.parametrize("width", [360, 800, 1440])
def test_no_page_is_wider_than_the_window(opened: Open, width: int) -> None:
    long = "a" * 100
    made = plan(
        *large(3, 40).actions,
        *(tag(kind, f"{long}/{long}", f"1.0-{long}{number}", f"{long * 5} {long}") for number, kind in enumerate(Kind)),
        warnings=(long * 9,),
    )
    made = replace(made, manifests=(replace(made.manifests[0], path=f"{long}/{long}", app=long),))
    report = Report(made, (Failed(made.writes[0], ReplsyncError(long * 9)),), (f"{long}/{long}",))
    for html in (plan_html(made, details(made)), report_html(report, details(made))):
        one = opened(html, viewport={"width": width, "height": 800})
        one.unfold()
        page = one.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#matrix").evaluate("one => one.scrollWidth") > 360  # it has a frame to scroll in


def test_dark_and_light_follow_the_system_until_somebody_chooses(opened: Open) -> None:
    def ground(page: Page) -> int:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall("[0-9]+", colour)[:3]))

    page = opened(PAGES["small"](), color_scheme="dark").page
    assert ground(page) < 150
    page.get_by_role("button", name="Light colours").click()
    assert ground(page) > 700
    page.reload()
    assert ground(page) > 700
    assert page.get_by_role("button", name="Dark colours").is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert ground(opened(PAGES["small"](), color_scheme="light").page) > 700


def test_on_paper_there_is_what_changes_and_nothing_to_press(opened: Open) -> None:
    page = opened(PAGES["small"](), java_script_enabled=False, color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert "rgb(253, 253, 251)" in page.evaluate("getComputedStyle(document.body).backgroundColor")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("[id='worker:1.9'] dl")).to_be_visible()
    assert page.locator(".scroll").first.evaluate("one => getComputedStyle(one).overflow") == "visible"


def test_nothing_moves_for_who_asked_for_less_motion(opened: Open) -> None:
    moving = "all => all.filter(one => parseFloat(getComputedStyle(one).transitionDuration) > 0).length"
    assert opened(PAGES["small"]()).page.locator("*").evaluate_all(moving) == 0
    assert opened(PAGES["small"](), reduced_motion="no-preference").page.locator("*").evaluate_all(moving) > 0


def test_a_plan_says_first_what_is_blocked_and_what_is_dangerous(opened: Open) -> None:
    made = plan(*small().actions, tag(Kind.BLOCKED, "api", "1.8", "immutable: push it to a new tag"))
    page = opened(plan_html(made)).page
    assert page.locator(".verdict").inner_text() == "Nothing will be written: 1 tag is blocked."
    assert page.locator("#first h3").all_inner_texts() == ["! Blocked 1", "x Retired 1", "~ Overwritten 1"]
    assert "immutable: push it to a new tag" in page.locator("#first").inner_text()
    assert "to send" not in page.locator(".counts").inner_text()


def test_the_same_reason_is_told_once_for_all_its_tags(opened: Open) -> None:
    made = plan(*(tag(Kind.TOMBSTONE, "api", f"1.{number}", "CVE-1") for number in range(70)))
    page = opened(plan_html(made)).page
    assert page.locator("#first").get_by_text("CVE-1", exact=True).count() == 1
    assert page.locator("#first .many a").count() == 50
    assert "and 20 more" in page.locator("#first .many").inner_text()


def test_a_report_says_what_was_done_what_failed_and_how_to_take_it_back(opened: Open) -> None:
    page = opened(PAGES["report"]()).page
    assert page.locator(".verdict").inner_text() == "1 tag was written, 1 failed, 1 not done."
    assert page.locator(".counts li").all_inner_texts() == ["1\nfailed", "1\nnot done", "1\ndone", "1\nso already"]
    first = page.locator("#first").inner_text()
    assert "worker:1.10" in first
    assert "the registry answered 524" in first
    assert "Next: set oversize_layers: split" in first
    assert page.locator("#back pre").inner_text() == "replsync rollback .replsync/journal/2.jsonl\n"
    page.get_by_role("checkbox", name="not done").check()
    assert page.get_by_role("status").inner_text() == "1 of 7 tags"


def test_a_report_of_a_run_that_wrote_nothing_says_why(opened: Open) -> None:
    (wrong, *_) = failed().plan.writes
    so = Done(wrong, digest("so"), is_written=False)
    for report, said in (
        (Report(blocked(), ()), "Nothing was written: 2 tags are blocked."),
        (Report(plan(), ()), "Nothing was to be written: the registry is as the manifest says."),
        (Report(plan(wrong), (so,)), "Nothing was written, it was so already."),
    ):
        assert opened(report_html(report)).page.locator(".verdict").inner_text() == said


def test_a_tag_that_was_written_and_not_recorded_is_no_plain_failure(opened: Open) -> None:
    (wrong, *_) = failed().plan.writes
    page = opened(report_html(Report(plan(wrong), (Failed(wrong, ReplsyncError("no disk"), is_written=True),)))).page
    assert page.locator(".verdict").inner_text() == "1 tag was written, 1 failed."
    assert "only the journal doesn’t have it" in page.locator("#first").inner_text()


def test_a_saved_plan_says_that_it_has_no_layers(opened: Open) -> None:
    page = opened(plan_html(small())).page
    assert "what they share isn’t known here" in page.locator("#sizes").inner_text()
    assert page.get_by_role("img", name="60 B to send, 0 B to mount, 40 B there already").count() == 4
    assert page.locator("#hatch").count() == 1  # what is mounted is drawn with it


def test_a_shared_layer_looks_the_same_everywhere_and_is_in_the_table(opened: Open) -> None:
    page = opened(PAGES["small"]()).page
    base = page.locator("#bars rect[data-l='0']")
    assert base.count() == 7
    assert len(set(base.evaluate_all("all => all.map(one => getComputedStyle(one).fill)"))) == 1
    assert page.locator("#bars svg text", has_text="A").count() == 7
    assert "469.0 MB if each had its own, 129.0 MB as they are shared" in page.locator("#sizes").inner_text()
    page.locator("summary", has_text="Shared layers").click()
    row = page.get_by_role("row", name="A ").filter(has_text=digest("base"))
    assert row.locator("td").all_inner_texts()[2:] == ["50.0 MB", "7", "2"]


def test_two_thousand_tags_make_a_page_of_two_megabytes_that_can_be_used(opened: Open) -> None:
    made = large()
    assert len(made.actions) == 2000
    html = plan_html(made, details(made))
    assert len(html.encode()) < 2_100_000
    one = opened(html)
    assert one.said == []
    assert one.page.locator("#matrix tbody tr").count() == 10
    assert one.page.locator("#matrix thead th").count() == 201
    assert len(one.shown) == len([action for action in made.actions if action.kind is not Kind.UNCHANGED])
    one.page.get_by_label("Filter", exact=True).fill("image7:4.4.9")
    expect(one.page.get_by_role("status")).to_have_text("1 of 2,000 tags")
    assert one.shown == ["image7:4.4.9"]


def test_tags_of_several_applications_are_named_in_full(opened: Open) -> None:
    page = opened(PAGES["several"]()).page
    assert page.locator("[id='other.test/app2/worker:1.0']").count() == 1
    assert Repository("other.test", "app2/worker").path in page.locator("#tags").inner_text()
