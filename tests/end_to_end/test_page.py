"""`plan` and `show` with `--format html`: what the page has from the registry and the journals, and what it costs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from replsync.oci.digest import short
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Reply
from tests.end_to_end.workplace import Workplace
from tests.servers.images import build_image, build_index, digest_of
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox, StartSandbox

BASE = build_image({"base": bytes(range(256)) * 2000})
API, OLD, NEW = (build_image({name: name.encode() * 900}, base=BASE) for name in ("api", "old worker", "new worker"))
ARM = build_image({"arm": b"arm"}, platform="linux/arm64")
BOTH = build_index([NEW, ARM])
BASE_LAYER = digest_of(BASE.layers[0])


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def published(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """Two images on one base at a sandbox; the manifest wants one more, of two platforms, and one of them retired."""
    workplace.env["REPLICATED_API_TOKEN"] = sandbox.credentials.password
    for repository, tag, image in (
        ("api", "1.0", API),
        ("worker", "1.0", OLD),
        ("worker", "0.9", ARM),
        ("worker-source", "1.1", BOTH),
    ):
        push(sandbox.host, f"{workplace.app}/{repository}", tag, image, sandbox.credentials)
    write(workplace, sandbox.host)
    return workplace


def write(workplace: Workplace, host: str) -> None:
    worker = {
        "name": "worker",
        "source": f"{host}/{workplace.app}/worker-source",
        "tags": ["1.1", {"tag": "1.0", "digest": OLD.digest}],
        "retired": [{"tag": "0.9", "reason": "CVE-2026-1234"}],
    }
    workplace.write(host, worker, {"name": "api", "tags": [{"tag": "1.0", "digest": API.digest}]})


def show(page: Page, html: str, folder: Path) -> list[str]:
    """Open a page that was printed; returns what the browser has to complain about."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    page.goto(path.as_uri())
    return said


def test_a_plan_shows_which_layers_are_shared_by_what_is_there_and_what_is_to_come(
    published: Workplace, page: Page
) -> None:
    done = published.run("plan", "--format", "html")
    assert done.returncode == 0, done.stderr
    assert show(page, done.stdout, published.folder) == []
    assert page.locator(".verdict").inner_text() == "2 tags would be written."
    bars = page.locator("#bars tbody tr:not(.shelf) th").all_inner_texts()
    assert bars == ["=1.0", "+1.1", "=1.0"]  # none for what becomes a tombstone
    shared = page.locator("table.shared tbody tr")
    assert shared.count() == 1
    assert shared.locator("td").nth(1).text_content() == BASE_LAYER
    assert shared.locator("td").all_text_contents()[3:] == ["3", "2"]
    (both,) = page.locator("#bars svg[aria-label^='3 layers']").all()  # of both its platforms
    assert f"A: {short(BASE_LAYER)}, in 3 tags" in "".join(both.locator("title").all_text_contents())


def test_what_the_journals_have_of_a_tag_stands_in_it(published: Workplace, page: Page) -> None:
    published.apply()
    (journal,) = (published.folder / ".replsync/journal").glob("*.jsonl")
    show(page, published.run("plan", "--format", "html").stdout, published.folder)
    assert page.locator(".verdict").inner_text() == "No changes: the registry is as the manifest says."
    for tag, kind in (("1.1", "create"), ("0.9", "tombstone")):
        page.locator(f"[id='worker:{tag}'] summary").click()
        (entry,) = page.locator(f"[id='worker:{tag}'] .history li").all_inner_texts()
        assert kind in entry
        assert journal.name in entry
    assert page.locator("[id='worker:1.0'] .history").count() == 0


def test_a_saved_plan_is_shown_offline_with_the_same_bytes_each_time(
    published: Workplace, sandbox: RunningSandbox, page: Page
) -> None:
    published.run("plan", "--out", "plan.json")
    asked = len(sandbox.answered)
    first, second = (
        published.run("show", "plan.json", "--format", "html", env={"PYTHONHASHSEED": seed}) for seed in "12"
    )
    assert first.returncode == 0, first.stderr
    assert len(sandbox.answered) == asked
    assert first.stdout == second.stdout
    assert show(page, first.stdout, published.folder) == []
    assert "A saved plan doesn’t have the layers of images" in page.locator("#sizes").inner_text()
    assert page.locator(".wire tbody tr").count() == 2


def test_a_blocked_plan_is_a_page_too(published: Workplace, sandbox: RunningSandbox, page: Page) -> None:
    push(sandbox.host, f"{published.app}/worker", "1.1", OLD, sandbox.credentials)
    done = published.run("plan", "--format", "html", "--out", "plan.json")
    assert done.returncode == 7
    for html in (done.stdout, published.run("show", "plan.json", "--format", "html").stdout):
        show(page, html, published.folder)
        assert page.locator(".verdict").inner_text() == "Nothing will be written: 1 tag is blocked."
        assert "list the tag under mutable" in page.locator("#first").inner_text()


def test_layers_that_cannot_be_read_are_called_unknown(
    published: Workplace, sandbox: RunningSandbox, start_proxy: StartProxy, page: Page
) -> None:
    def gone(asked: Asked) -> Reply | None:
        return Reply(404) if asked.method == "GET" and asked.path.endswith(f"/manifests/{API.digest}") else None

    write(published, start_proxy(sandbox.host, gone).host)
    done = published.run("plan", "--format", "html")
    assert done.returncode == 0, done.stderr
    show(page, done.stdout, published.folder)
    assert "Of 1 more the layers aren’t known." in page.locator("#sizes").inner_text()


def test_with_locked_no_source_is_asked_for_layers_either(
    workplace: Workplace, sandbox: RunningSandbox, start_sandbox: StartSandbox, page: Page
) -> None:
    source = start_sandbox()
    workplace.sign_in(sandbox, source)
    push(sandbox.host, f"{workplace.app}/worker", "1.0", OLD, sandbox.credentials)
    push(source.host, "acme/worker", "1.1", NEW, source.credentials)
    tags = ["1.1", {"tag": "1.0", "digest": OLD.digest}]
    workplace.write(sandbox.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": tags})
    assert workplace.run("lock").returncode == 0
    asked = len(source.answered)
    done = workplace.run("plan", "--locked", "--format", "html")
    assert done.returncode == 0, done.stderr
    assert len(source.answered) == asked
    show(page, done.stdout, workplace.folder)
    assert page.locator("#bars tbody tr:not(.shelf) th").all_inner_texts() == ["=1.0"]


def test_no_other_format_asks_for_layers(published: Workplace, sandbox: RunningSandbox) -> None:
    def requests(form: str) -> int:
        before = len(sandbox.answered)
        assert published.run("plan", "--format", form).returncode == 0
        return len(sandbox.answered) - before

    # The image manifests of the two tags that stay: of what is to be pushed they were read for the plan.
    assert requests("html") == requests("text") + 2


def test_after_apply_the_page_says_what_failed_and_how_to_take_the_rest_back(
    published: Workplace, sandbox: RunningSandbox, start_proxy: StartProxy, page: Page
) -> None:
    def refused(asked: Asked) -> Reply | None:
        return Reply(400) if asked.method == "PUT" and asked.path.endswith("/manifests/0.9") else None

    write(published, start_proxy(sandbox.host, refused).host)
    done = published.run("apply", "--auto-approve", "--format", "html")
    assert done.returncode == 6, done.stderr
    assert show(page, done.stdout, published.folder) == []
    assert page.locator(".verdict").inner_text() == "1 tag was written, 1 failed."
    assert "worker:0.9" in page.locator("#first").inner_text()
    (journal,) = (published.folder / ".replsync/journal").glob("*.jsonl")
    assert page.locator("#back pre").inner_text() == f"replsync rollback .replsync/journal/{journal.name}\n"
    page.locator("[id='worker:1.1'] summary").click()
    assert "create" in page.locator("[id='worker:1.1'] .history").inner_text()
