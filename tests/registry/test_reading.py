"""Reading what registries answer, in the shapes that real ones don't show on demand."""

import json

import pytest
from aiohttp import web

from replsync.errors import NotFound, PermissionDenied, RegistryError, RegistryUnreachable, UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import MAX_SIZE, OCI_INDEX, OCI_MANIFEST
from replsync.registry.client import RegistryClient
from replsync.registry.tag_list import MAX_TAGS
from replsync.registry.trees import MAX_TREE
from tests.registry.answers import IMAGE, MANIFEST, served
from tests.registry.clients import blob_of, repository, tag
from tests.registry.scripted import Reply, Scripted, StartScripted, refusal

PATH = "/v2/app/worker/manifests/1"
TAGS = "GET /v2/app/worker/tags/list"
DIGEST = Digest(IMAGE.digest)


def index_of(*children: tuple[str, bytes]) -> bytes:
    entries = [{"mediaType": kind, "digest": sha256(raw), "size": len(raw)} for kind, raw in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


def serve_by_digest(scripted: Scripted, media_type: str, *raws: bytes) -> None:
    for raw in raws:
        scripted.on(f"GET /v2/app/worker/manifests/{sha256(raw)}", served(raw, media_type))


async def test_a_head_without_a_digest_is_followed_by_a_get(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(f"HEAD {PATH}", served(digest=""))
    scripted.on(MANIFEST, served(digest=""))
    found = await client.head(tag(scripted.host))
    assert found
    assert (found.digest, found.media_type, found.size) == (DIGEST, OCI_MANIFEST, len(IMAGE.manifest))


async def test_a_tag_that_goes_between_head_and_get_is_absent(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(f"HEAD {PATH}", served(digest=""))
    scripted.on(MANIFEST, refusal(404, "MANIFEST_UNKNOWN"))
    assert await client.head(tag(scripted.host)) is None


@pytest.mark.parametrize("stated", ["sha256:x", "md5:00", "../../../etc", "sha256:" + "A" * 64])
async def test_a_head_with_a_digest_that_is_none_is_followed_by_a_get(
    scripted: Scripted, client: RegistryClient, stated: str
) -> None:
    scripted.on(f"HEAD {PATH}", served(digest=stated))
    scripted.on(MANIFEST, served())
    found = await client.head(tag(scripted.host))
    assert found
    assert found.digest == DIGEST


async def test_a_head_of_a_digest_that_names_another_is_not_believed(
    scripted: Scripted, client: RegistryClient
) -> None:
    wanted = repository(scripted.host).at(sha256(b"other"))
    scripted.on(f"HEAD /v2/app/worker/manifests/{wanted.digest}", served())
    scripted.on(f"GET /v2/app/worker/manifests/{wanted.digest}", served())
    with pytest.raises(RegistryError, match=f"the content is {DIGEST}, not {wanted.digest}"):
        await client.head(wanted)


@pytest.mark.parametrize("status", [403, 500, 405])
async def test_a_head_that_fails_is_not_absent(scripted: Scripted, client: RegistryClient, status: int) -> None:
    scripted.on(f"HEAD {PATH}", Reply(status))
    with pytest.raises((RegistryError, PermissionDenied), match=f"look up {tag(scripted.host)}: .* answered {status}"):
        await client.head(tag(scripted.host))


async def test_every_type_of_image_manifest_is_asked_for(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served())
    await client.fetch(tag(scripted.host))
    accepted = {one.strip() for one in scripted.received[0].headers["Accept"].split(",")}
    assert {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    } <= accepted


async def test_content_that_is_not_that_of_the_digest_is_refused(scripted: Scripted, client: RegistryClient) -> None:
    wanted = repository(scripted.host).at(sha256(b"other"))
    scripted.on(f"GET /v2/app/worker/manifests/{wanted.digest}", served(digest=str(wanted.digest)))
    with pytest.raises(RegistryError, match=f"^read .*: the content is {DIGEST}, not {wanted.digest}$"):
        await client.fetch(wanted)


async def test_a_digest_header_that_lies_is_found_out(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served(digest=sha256(b"other")))
    with pytest.raises(RegistryError, match=f"the content is {DIGEST}, not {sha256(b'other')}"):
        await client.fetch(tag(scripted.host))


async def test_a_digest_header_that_is_no_digest_is_refused(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served(digest="../../../etc/passwd"))
    with pytest.raises(RegistryError, match="names a digest that is none"):
        await client.fetch(tag(scripted.host))


async def test_an_image_manifest_of_4_mib_is_read(scripted: Scripted, client: RegistryClient) -> None:
    raw = IMAGE.manifest + b" " * (MAX_SIZE - len(IMAGE.manifest))
    scripted.on(MANIFEST, served(raw))
    assert (await client.fetch(tag(scripted.host))).raw == raw


async def test_an_image_manifest_over_4_mib_is_not_read(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served(IMAGE.manifest + b" " * MAX_SIZE))
    with pytest.raises(RegistryError, match=f"^read {tag(scripted.host)}: .*sent more than the {MAX_SIZE} bytes"):
        await client.fetch(tag(scripted.host))
    assert len(scripted.received) == 1


async def test_nothing_is_to_be_compressed_on_the_way(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served())
    await client.fetch(tag(scripted.host))
    assert scripted.received[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("answer", [Reply(404, b"<html>no</html>"), refusal(404, "DENIED"), refusal(404)])
async def test_a_404_without_the_registrys_code_is_not_absent(
    scripted: Scripted, client: RegistryClient, answer: Reply
) -> None:
    scripted.on(MANIFEST, answer)
    with pytest.raises(RegistryError, match="the registry answered 404") as caught:
        await client.fetch(tag(scripted.host))
    assert not isinstance(caught.value, NotFound)


async def test_an_index_within_an_index_is_read(scripted: Scripted, client: RegistryClient) -> None:
    inner = index_of((OCI_MANIFEST, IMAGE.manifest))
    outer = index_of((OCI_INDEX, inner), (OCI_MANIFEST, IMAGE.manifest))
    scripted.on(MANIFEST, served(outer, OCI_INDEX))
    serve_by_digest(scripted, OCI_INDEX, inner)
    serve_by_digest(scripted, OCI_MANIFEST, IMAGE.manifest)
    tree = await client.tree(tag(scripted.host))
    assert [digest for digest, _ in tree.in_push_order] == [DIGEST, sha256(inner)]
    assert len(scripted.asked(f"GET /v2/app/worker/manifests/{DIGEST}")) == 1


async def test_indexes_that_share_their_children_are_each_read_once(scripted: Scripted, client: RegistryClient) -> None:
    # Three levels of ten indexes, each with all ten of the next level: 1,110 paths, 31 documents.
    level, media_type = [(OCI_MANIFEST, IMAGE.manifest)], OCI_MANIFEST
    serve_by_digest(scripted, media_type, IMAGE.manifest)
    for _ in range(3):
        raws = [index_of(*level) + b" " * number for number in range(10)]
        serve_by_digest(scripted, OCI_INDEX, *raws)
        level = [(OCI_INDEX, raw) for raw in raws]
    scripted.on(MANIFEST, served(index_of(*level), OCI_INDEX))
    tree = await client.tree(tag(scripted.host))
    assert len(tree.below) == 31
    assert len(scripted.received) == 32


async def test_indexes_nested_without_end_are_refused(scripted: Scripted, client: RegistryClient) -> None:
    raw = IMAGE.manifest
    serve_by_digest(scripted, OCI_MANIFEST, raw)
    kind = OCI_MANIFEST
    for _ in range(12):
        raw, kind = index_of((kind, raw)), OCI_INDEX
        serve_by_digest(scripted, OCI_INDEX, raw)
    scripted.on(MANIFEST, served(raw, OCI_INDEX))
    with pytest.raises(UnsupportedImage, match="indexes within indexes, more than 4 deep"):
        await client.tree(tag(scripted.host))
    assert len(scripted.received) < 10


async def test_an_index_of_thousands_is_refused_before_it_is_read(scripted: Scripted, client: RegistryClient) -> None:
    raw = index_of(*((OCI_MANIFEST, str(number).encode()) for number in range(1001)))
    scripted.on(MANIFEST, served(raw, OCI_INDEX))
    with pytest.raises(UnsupportedImage, match="an index of more than 1000 image manifests"):
        await client.tree(tag(scripted.host))
    assert len(scripted.received) == 1


async def test_an_index_with_a_child_that_is_missing_names_the_child(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(MANIFEST, served(index_of((OCI_MANIFEST, IMAGE.manifest)), OCI_INDEX))
    scripted.on(f"GET /v2/app/worker/manifests/{DIGEST}", refusal(404, "MANIFEST_UNKNOWN"))
    with pytest.raises(NotFound, match=f"^read {scripted.host}/app/worker@{DIGEST}: "):
        await client.tree(tag(scripted.host))


async def test_a_foreign_layer_is_refused(scripted: Scripted, client: RegistryClient) -> None:
    document = json.loads(IMAGE.manifest)
    document["layers"][0]["urls"] = ["https://evil.test/layer"]
    scripted.on(MANIFEST, served(json.dumps(document).encode()))
    with pytest.raises(UnsupportedImage, match=f"^{tag(scripted.host)}: its layer .* is a foreign layer"):
        await client.tree(tag(scripted.host))


async def test_all_pages_of_tags_are_read(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(
        TAGS,
        Reply(200, b'{"tags": ["b", "a"]}', {"Link": '</v2/app/worker/tags/list?last=b&x=%2F>; rel="next"'}),
        Reply(200, b'{"tags": ["d", "a"]}', {"Link": "<?last=d>; title=x; rel=next"}),
        Reply(200, b'{"tags": ["c"]}', {"Link": '</v2/app/worker/tags/list>; rel="first"'}),
    )
    assert await client.tags(repository(scripted.host)) == ("a", "b", "c", "d")
    assert [one.path.partition("?")[2] for one in scripted.received] == ["n=1000", "last=b&x=%2F", "last=d"]


async def test_the_next_page_is_found_among_other_links(scripted: Scripted, client: RegistryClient) -> None:
    links = '<?first>; rel="first", <?last=a>; REL="next"'
    scripted.on(TAGS, Reply(200, b'{"tags": ["a"]}', {"Link": links}), Reply(200, b'{"tags": ["b"]}'))
    assert await client.tags(repository(scripted.host)) == ("a", "b")


async def test_a_next_page_on_another_host_is_refused(
    scripted: Scripted, start_scripted: StartScripted, client: RegistryClient
) -> None:
    other = await start_scripted()
    link = f'<http://{other.host}/v2/app/worker/tags/list?last=a>; rel="next"'
    scripted.on(TAGS, Reply(200, b'{"tags": ["a"]}', {"Link": link}))
    with pytest.raises(RegistryError, match=f"list the tags of .*: the next page is on another host, {other.host}"):
        await client.tags(repository(scripted.host))
    assert other.received == []


@pytest.mark.parametrize("link", ["ftp://a.test/", "http://a.test:99999/", "http://user:pw@a.test/"])
async def test_a_next_page_that_is_no_address_is_refused(scripted: Scripted, client: RegistryClient, link: str) -> None:
    scripted.on(TAGS, Reply(200, b'{"tags": ["a"]}', {"Link": f'<{link}>; rel="next"'}))
    with pytest.raises(RegistryError, match=r"^list the tags of .* names an address that can't be read$"):
        await client.tags(repository(scripted.host))


async def test_pages_that_go_in_a_circle_come_to_an_end(scripted: Scripted, client: RegistryClient) -> None:
    first = Reply(200, b'{"tags": ["a"]}', {"Link": '<?last=a>; rel="next"'})
    scripted.on(TAGS, first)
    with pytest.raises(RegistryError, match="the pages go in a circle"):
        await client.tags(repository(scripted.host))
    assert len(scripted.received) == 2


async def test_a_list_that_breaks_off_is_not_a_short_list(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(TAGS, Reply(200, b'{"tags": ["a"]}', {"Link": '<?last=a>; rel="next"'}), refusal(404, "NAME_UNKNOWN"))
    with pytest.raises(RegistryError, match="list the tags of"):
        await client.tags(repository(scripted.host))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"tags": "latest"}', b'{"tags": {"a": 1}}', b'{"tags": [1]}', b"[" * 99_999],
)
async def test_what_is_no_list_of_tags_is_an_error(scripted: Scripted, client: RegistryClient, body: bytes) -> None:
    scripted.on(TAGS, Reply(200, body))
    with pytest.raises(RegistryError, match=r"^list the tags of .*: the answer is not a list of tags$"):
        await client.tags(repository(scripted.host))


async def test_no_tags_may_be_null(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(TAGS, Reply(200, b'{"tags": null}'))
    assert await client.tags(repository(scripted.host)) == ()


async def test_what_can_be_no_tag_is_left_out(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(TAGS, Reply(200, json.dumps({"tags": ["ok", "../x", "", "a b", "\x1b[2J", "x" * 129]}).encode()))
    assert await client.tags(repository(scripted.host)) == ("ok",)


async def test_an_unknown_repository_has_no_tags(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(TAGS, refusal(404, "NAME_UNKNOWN"))
    assert await client.tags(repository(scripted.host)) == ()


async def test_a_repository_that_a_proxy_does_not_know_is_an_error(scripted: Scripted, client: RegistryClient) -> None:
    with pytest.raises(RegistryError, match="the registry answered 404") as caught:
        await client.tags(repository(scripted.host))
    assert caught.value.hint == f"is {scripted.host} a registry, or a proxy in front of one?"


async def test_a_blob_with_other_bytes_is_an_error_at_its_end(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(f"GET /v2/app/worker/blobs/{sha256(b'data')}", Reply(200, b"evil"))
    with pytest.raises(RegistryError, match=r"is not the blob \(of 4 bytes\) that was asked for"):
        await client.read_small_blob(repository(scripted.host), blob_of(b"data"))


@pytest.mark.parametrize("sent", [b"dat", b"data and more"])
async def test_a_blob_of_another_size_is_an_error(scripted: Scripted, client: RegistryClient, sent: bytes) -> None:
    scripted.on(f"GET /v2/app/worker/blobs/{sha256(b'data')}", Reply(200, sent))
    with pytest.raises(RegistryError, match=r"is not the blob \(of 4 bytes\) that was asked for"):
        await client.read_small_blob(repository(scripted.host), blob_of(b"data"))


async def test_a_blob_that_grows_without_end_is_not_read_to_its_end(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(f"GET /v2/app/worker/blobs/{sha256(b'data')}", Reply(200, bytes(50_000_000)))
    reading = client.read_blob(repository(scripted.host), blob_of(b"data"))
    with pytest.raises(RegistryError, match="is not the blob"):
        await anext(reading)


@pytest.mark.parametrize("digest", [sha256(IMAGE.manifest), ""])
async def test_what_was_written_may_be_named_by_its_digest(
    scripted: Scripted, client: RegistryClient, digest: str
) -> None:
    scripted.on(f"PUT {PATH}", Reply(201, b"", {"Docker-Content-Digest": digest}))
    await client.put(tag(scripted.host), IMAGE.manifest, OCI_MANIFEST)
    assert scripted.received[0].body == IMAGE.manifest
    assert scripted.received[0].headers["Content-Type"] == OCI_MANIFEST


@pytest.mark.parametrize("digest", [sha256(b"other"), "nonsense"])
async def test_a_registry_that_stored_something_else_is_found_out(
    scripted: Scripted, client: RegistryClient, digest: str
) -> None:
    scripted.on(f"PUT {PATH}", Reply(201, b"", {"Docker-Content-Digest": digest}))
    with pytest.raises(RegistryError, match="stored other bytes than were sent"):
        await client.put(tag(scripted.host), IMAGE.manifest, OCI_MANIFEST)


async def test_a_ping_of_what_is_no_registry_says_so(scripted: Scripted, client: RegistryClient) -> None:
    with pytest.raises(RegistryError, match=f"^reach the registry {scripted.host}: .*not as a registry does"):
        await client.ping(scripted.host)


async def test_a_registry_that_is_not_there_is_unreachable(client: RegistryClient) -> None:
    with pytest.raises(RegistryUnreachable, match=r"^reach the registry 127\.0\.0\.1:1: connection refused$"):
        await client.ping("127.0.0.1:1")


@pytest.mark.parametrize("host", ["127.0.0.1:99999", f"{'a' * 70}.localhost"])
async def test_a_host_that_can_not_be_is_an_error(client: RegistryClient, host: str) -> None:
    with pytest.raises(RegistryError, match=f"^look up {tag(host)}: "):
        await client.head(tag(host))


async def test_tags_without_end_are_not_taken_in(scripted: Scripted, client: RegistryClient) -> None:
    number = 0

    async def page(request: web.Request) -> web.StreamResponse:
        nonlocal number
        number += 1
        tags = [f"{number}-{one}" for one in range(20_000)]
        link = f'<{request.path}?last={number}>; rel="next"'
        return web.json_response({"tags": tags}, headers={"Link": link})

    scripted.on(TAGS, page)
    with pytest.raises(RegistryError, match=f"^list the tags of .*: more than {MAX_TAGS} tags$"):
        await client.tags(repository(scripted.host))
    assert number == MAX_TAGS // 20_000 + 1


async def test_an_index_of_large_image_manifests_is_not_held_in_memory(
    scripted: Scripted, client: RegistryClient
) -> None:
    body = json.loads(IMAGE.manifest)
    filling = "x" * (MAX_SIZE - 10_000)
    children = [json.dumps({**body, "annotations": {"n": f"{n}{filling}"}}).encode() for n in range(40)]
    index = index_of(*((OCI_MANIFEST, child) for child in children))
    scripted.on(MANIFEST, served(index, OCI_INDEX))
    serve_by_digest(scripted, OCI_MANIFEST, *children)
    with pytest.raises(UnsupportedImage, match=f"^{tag(scripted.host)}: .* of more than {MAX_TREE} bytes$"):
        await client.tree(tag(scripted.host))
