import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replsync.sandbox import SandboxOptions, serve
from tests.sandbox.client import Answer, Client, open_client
from tests.servers.images import build_image

NAME = "myapp/worker"
TAGS = f"/v2/{NAME}/tags/list"
IMAGE = build_image({"hello": b"one"})


async def push_tags(client: Client, *tags: str) -> None:
    await client.push(NAME, IMAGE.digest, IMAGE)
    for tag in tags:
        assert (await client.put_manifest(NAME, tag, IMAGE.manifest, IMAGE.media_type)).status == 201


def next_page(answer: Answer) -> str | None:
    link = answer.headers.get("Link")
    found = re.fullmatch(r'<(/v2/[^>]*)>; rel="next"', link) if link else None
    assert bool(found) is bool(link)
    return found[1] if found else None


async def test_tags_are_sorted_without_regard_to_case(client: Client) -> None:
    await push_tags(client, "b", "A", "a", "C", "1.10", "1.9", "_x")
    answer = await client.ask("GET", TAGS)
    assert answer.json() == {"name": NAME, "tags": ["1.10", "1.9", "_x", "A", "a", "b", "C"]}
    assert "Link" not in answer.headers


async def test_a_tag_pushed_again_is_listed_once(client: Client) -> None:
    await push_tags(client, "a", "a")
    assert (await client.ask("GET", TAGS)).json()["tags"] == ["a"]


async def test_n_limits_a_page_and_links_to_the_next(client: Client) -> None:
    await push_tags(client, "a", "b", "c")
    answer = await client.ask("GET", f"{TAGS}?n=2")
    assert (answer.json()["tags"], next_page(answer)) == (["a", "b"], f"{TAGS}?n=2&last=b")


@pytest.mark.parametrize("n", [3, 4, 999_999_999])
async def test_the_last_page_has_no_link(client: Client, n: int) -> None:
    await push_tags(client, "a", "b", "c")
    answer = await client.ask("GET", f"{TAGS}?n={n}")
    assert (answer.json()["tags"], next_page(answer)) == (["a", "b", "c"], None)


async def test_n_of_zero_is_an_empty_list_without_a_link(client: Client) -> None:
    await push_tags(client, "a")
    answer = await client.ask("GET", f"{TAGS}?n=0")
    assert (answer.json()["tags"], next_page(answer)) == ([], None)


@pytest.mark.parametrize("last", ["b", "bb", "B9"])
async def test_last_need_not_exist_and_needs_no_n(client: Client, last: str) -> None:
    await push_tags(client, "a", "b", "c")
    assert (await client.ask("GET", f"{TAGS}?last={last}")).json()["tags"] == ["c"]


@pytest.mark.parametrize("n", ["", "-1", "x", "1e3", "9" * 5000])
async def test_an_n_that_is_no_number_is_refused(client: Client, n: str) -> None:
    await push_tags(client, "a")
    answer = await client.ask("GET", f"{TAGS}?n={n}")
    assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID")


async def test_an_unknown_repository_is_not_found(client: Client) -> None:
    answer = await client.ask("GET", TAGS)
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_a_repository_with_blobs_alone_is_unknown(client: Client) -> None:
    await client.push_blob(NAME, b"content")
    assert (await client.ask("GET", TAGS)).code == "NAME_UNKNOWN"


@settings(max_examples=15)
@given(
    tags=st.sets(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,3}", fullmatch=True), max_size=12), n=st.integers(1, 5)
)
def test_the_pages_are_the_whole_list(tags: set[str], n: int) -> None:
    async def walk() -> None:
        async with serve(SandboxOptions()) as sandbox, open_client(sandbox.host, f"repository:{NAME}:*") as client:
            await push_tags(client, *tags)
            whole = (await client.ask("GET", TAGS)).json()["tags"]
            assert whole == sorted(tags, key=lambda tag: (tag.lower(), tag))
            pages: list[list[str]] = []
            following: str | None = f"{TAGS}?n={n}"
            while following:
                answer = await client.ask("GET", following)
                pages.append(answer.json()["tags"])
                following = next_page(answer)
            assert [tag for page in pages for tag in page] == whole
            assert all(len(page) == n for page in pages[:-1])

    asyncio.run(walk())
