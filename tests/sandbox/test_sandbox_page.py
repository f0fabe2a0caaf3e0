"""The page at `/`, as its readers see it: in a browser, without a sign-in."""

import itertools
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from replsync.oci.digest import parse_digest
from replsync.oci.tombstone import EMPTY_LAYER, Epitaph, tombstone_config, tombstone_manifest
from replsync.sandbox import Answered, Limits, SandboxOptions
from replsync.sandbox.contents import MAX_TAGS
from replsync.sandbox.page import MAX_REQUESTS, Recent
from tests.sandbox.client import Client, open_client
from tests.servers.attested import build_attested
from tests.servers.images import BuiltImage, build_image, digest_of
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox, StartSandbox

NAME = "myapp/worker"
IMAGE = build_image({"hello": b"world"}, platform="linux/arm64")
HOSTILE = '<script>document.title="owned"</script>&"\''


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser that never had one open. What goes wrong in it, or is asked elsewhere, fails the test."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    wrong: list[str] = []
    loaded: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: loaded.extend([] if request.is_navigation_request() else [request.url]))
    yield page
    assert not wrong
    assert not loaded


def rows(page: Page, repository: str) -> list[list[str]]:
    """The cells of a repository's table, as they are read."""
    table = page.get_by_role("article", name=repository, exact=True).get_by_role("table")
    return [[cell.inner_text() for cell in row.locator("th, td").all()] for row in table.get_by_role("row").all()[1:]]


def test_an_empty_sandbox_says_how_to_fill_it(page: Page, sandbox: RunningSandbox) -> None:
    page.goto(f"http://{sandbox.host}/")
    assert page.get_by_role("heading", level=1).inner_text() == sandbox.host
    text = page.get_by_role("main").inner_text()
    assert "Nothing yet." in text
    assert f"docker push {sandbox.host}/myapp/worker:1.0" in text
    assert "None yet." in text
    assert "No other limit is on" in text


def test_it_shows_the_example_application(page: Page, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(seed=True))
    page.goto(f"http://{sandbox.host}/")
    worker = {tag.split("\n")[0]: (tag.split("\n")[1], *rest) for tag, *rest in rows(page, "myapp/worker")}
    assert list(worker) == ["1.10", "1.11.0", "1.8.0", "1.9.3", "latest"]
    assert worker["latest"] == worker["1.11.0"]
    digest, what, size = worker["1.10"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    assert (what.split(), size) == (["image", "linux/amd64", "linux/arm64"], "2.7 MB")
    assert worker["1.8.0"][1] == "tombstone CVE-2026-0815, use 1.9.3"
    assert [what for _, what, _ in rows(page, "myapp/migrations")] == ["image linux/amd64"] * 2
    assert [what for _, what, _ in rows(page, "myapp/stable/myapp")] == ["Helm chart"]
    # What the tombstone replaced; the parts of indexes don't count.
    assert "5 tags; 1 image without a tag can still be read by digest" in page.inner_text("main")


def test_it_shows_requests_latest_first_and_not_those_for_itself(page: Page, sandbox: RunningSandbox) -> None:
    for reference in (IMAGE.digest, "1.0"):
        push(sandbox.host, NAME, reference, IMAGE, sandbox.credentials)
    for _ in range(2):
        page.goto(f"http://{sandbox.host}/")
    cells = page.get_by_role("table", name="Requests").get_by_role("row").nth(1).locator("td").all_inner_texts()
    assert cells[:3] == ["201", f"PUT /v2/{NAME}/manifests/1.0", f"{len(IMAGE.manifest)} Bytes"]
    shown = page.locator("#requests").inner_text()
    assert f"PUT /v2/{NAME}/manifests/{IMAGE.digest[: len('sha256:') + 12]}…\t" in shown
    assert "GET /\n" not in shown


def test_it_shows_which_limits_are_on(page: Page, start_sandbox: StartSandbox) -> None:
    limits = Limits(True, 30_000_000, 2.5, cut_off_lands=True, requests_per_second=7, no_referrers=True)
    options = SandboxOptions(limits=limits, pull_only_passwords=("hunter2",), token_seconds=60)
    page.goto(f"http://{start_sandbox(options).host}/")
    assert page.locator("#limits").get_by_role("listitem").all_inner_texts() == [
        "attestations, with 400",
        "upload requests of more than 30.0 MB, with 524, and yet carries them out",
        "requests that take longer than 2.5 s, with 524, and yet carries them out",
        "more than 7 requests a second, with 429",
        "to list what refers to an image, with 404",
        "pushes of whoever signs in with a pull-only password, with 403",
        "tokens that are older than 60 s, with 401",
    ]
    assert "hunter2" not in page.content()
    page.goto(f"http://{start_sandbox(SandboxOptions(push_withdrawn=True)).host}/")
    assert page.locator("#limits").get_by_role("listitem").all_inner_texts() == ["every push, with 403"]


def test_it_shows_what_else_is_pushed(page: Page, sandbox: RunningSandbox) -> None:
    push(sandbox.host, NAME, "attested", build_attested([IMAGE], "artifact"), sandbox.credentials)
    push(sandbox.host, NAME, "plain", build_image({"a": b"1"}, media="docker"), sandbox.credentials)
    page.goto(f"http://{sandbox.host}/")
    shown = {tag.split("\n")[0]: what for tag, what, _ in rows(page, NAME)}
    assert shown == {"attested": "image linux/arm64 unknown/unknown", "plain": "image linux/amd64"}


async def test_what_a_tombstone_says_is_escaped(anonymous: Client, sandbox: RunningSandbox) -> None:
    epitaph = Epitaph("r.example/a:1", HOSTILE, parse_digest(IMAGE.digest), IMAGE.media_type)
    config = tombstone_config(epitaph)
    blobs = {digest_of(blob): blob for blob in (EMPTY_LAYER, config)}
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    client = await anonymous.signed_in(f"repository:{NAME}:pull,push")
    await client.push(NAME, "1.0", BuiltImage(tombstone_manifest(config), media_type, config, blobs, "linux/amd64"))
    text = (await anonymous.ask("GET", "/")).body.decode()
    assert "<script" not in text
    assert "&lt;script&gt;document.title=&#34;owned&#34;&lt;/script&gt;&amp;&#34;&#39;" in text


async def test_what_is_asked_for_is_escaped(anonymous: Client) -> None:
    await anonymous.ask("GET", "/<script>alert(1)</script>")
    text = (await anonymous.ask("GET", "/")).body.decode()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("config", [b"", b"[]", b"{", b'{"os": {}}', b"[" * 100_000])
async def test_an_image_whose_config_says_no_platform_is_shown_without(anonymous: Client, config: bytes) -> None:
    client = await anonymous.signed_in(f"repository:{NAME}:pull,push")
    manifest = IMAGE.manifest.replace(IMAGE.config_digest.encode(), digest_of(config).encode())
    blobs = {digest_of(blob): blob for blob in (*IMAGE.layers, config)}
    await client.push(NAME, "1.0", BuiltImage(manifest, IMAGE.media_type, config, blobs, ""))
    answer = await anonymous.ask("GET", "/")
    assert answer.status == 200
    assert b'<span class="kind">image</span></td>' in answer.body


async def test_many_tags_are_cut_and_the_page_says_so(anonymous: Client) -> None:
    client = await anonymous.signed_in(f"repository:{NAME}:pull,push")
    await client.push(NAME, IMAGE.digest, IMAGE)
    for number in range(MAX_TAGS + 1):
        await client.put_manifest(NAME, f"1.{number}", IMAGE.manifest, IMAGE.media_type)
    text = (await anonymous.ask("GET", "/")).body.decode()
    assert text.count('<th scope="row">') == MAX_TAGS
    assert f"The first {MAX_TAGS} of {MAX_TAGS + 1} tags are shown." in text
    assert f"The last {MAX_REQUESTS} of " in text


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:5000"])
async def test_it_answers_by_every_name_of_this_machine(anonymous: Client, host: str) -> None:
    assert (await anonymous.ask("GET", "/", headers={"Host": host})).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:5000", "10.0.0.1", "[::1", ""])
async def test_it_answers_by_no_other_name(anonymous: Client, host: str) -> None:
    answer = await anonymous.ask("GET", "/", headers={"Host": host})
    assert (answer.status, answer.code) == (403, "DENIED")


async def test_the_page_may_load_nothing_and_run_nothing(anonymous: Client) -> None:
    answer = await anonymous.ask("GET", "/")
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    style = policy.pop("style-src")
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", style)
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert b"http" not in answer.body.replace(b"httpd", b"")


async def test_it_is_only_read(anonymous: Client) -> None:
    assert (await anonymous.ask("HEAD", "/")).status == 200
    for method in ("POST", "PUT", "DELETE"):
        assert (await anonymous.ask(method, "/")).status == 401


async def test_it_is_no_part_of_the_rate(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(requests_per_second=1)))
    async with open_client(sandbox.host) as anonymous:
        assert [(await anonymous.ask("GET", "/")).status for _ in range(5)] == [200] * 5


def test_it_fits_and_can_be_read(browser: Browser, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(seed=True))
    push(sandbox.host, "myapp/" + "long-name-" * 12 + "x", "1." + "0" * 120, IMAGE, sandbox.credentials)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for width, scheme in itertools.product((320, 360, 1280), schemes):
        page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
        page.goto(f"http://{sandbox.host}/")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(CONTRAST) == []


# Texts that stand out from their ground by less than 4.5 to 1 (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(one => one / 255)
      .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some(one => one.nodeType === 3 && one.data.trim())) continue;
    const pair = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((a, b) => b - a);
    if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) poor.push(node.className + ": " + node.textContent);
  }
  return poor;
}"""


def test_every_table_has_a_name_and_every_cell_a_header(page: Page, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(seed=True))
    push(sandbox.host, NAME, "1.0", IMAGE, sandbox.credentials)
    page.goto(f"http://{sandbox.host}/")
    landmarks: tuple[Literal["banner", "navigation", "main", "contentinfo"], ...]
    landmarks = ("banner", "navigation", "main", "contentinfo")
    assert [page.get_by_role(landmark).count() for landmark in landmarks] == [1, 1, 1, 1]
    tables = page.get_by_role("table").all()
    assert len(tables) == 5
    for table in tables:
        assert table.locator("caption").inner_text()
        assert all(header.get_attribute("scope") for header in table.locator("th").all())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to what it holds"
    page.keyboard.press("Enter")
    assert page.url.endswith("#held")


def test_recent_requests_are_bounded() -> None:
    recent = Recent()
    for number in range(MAX_REQUESTS + 5):
        recent.add(Answered("GET", f"/{number}", 200, 0), datetime(2026, 1, 2, 3, 4, number % 60))
    recent.add(Answered("GET", "/", 200, 0), datetime(2026, 1, 2))
    assert len(recent.asked) == MAX_REQUESTS
    assert recent.count == MAX_REQUESTS + 5
    assert recent.asked[0] == ("03:04:34", Answered("GET", f"/{MAX_REQUESTS + 4}", 200, 0))
