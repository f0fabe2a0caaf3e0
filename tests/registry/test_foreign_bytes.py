"""Whatever bytes a server sends: nothing comes of them but what the readers promise, and the errors that they name."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import RegistryError, SignInError, UnsupportedImage
from replsync.oci.image_manifest import OCI_INDEX, OCI_MANIFEST, ImageIndex, ImageManifest, parse_document
from replsync.oci.tombstone import LABEL, read_epitaph, tombstone_config
from replsync.registry.address import join, origin
from replsync.registry.refusal import failure, named, read_errors
from replsync.registry.sign_in import may_send, parse_challenges, token_server
from replsync.registry.tag_list import next_page, read_page

BASE = "https://registry.example.com/v2/app/worker/tags/list"
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.just(10**400)
    | st.just("sha256:" + "a" * 64),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@st.composite
def deep(draw: st.DrawFn) -> bytes:
    """A value within so many others that Python may not get to it."""
    depth = draw(st.integers(900, 1010) | st.integers(0, 5000))
    opened, closed = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
    return opened * depth + b"0" + closed * depth


def documents(*keys: str) -> st.SearchStrategy[bytes]:
    """JSON that has these keys, with any values, some of them deep, and anything else."""

    def spelled(values: dict[str, Any]) -> bytes:
        members = (json.dumps(key).encode() + b":" + _bytes(value) for key, value in values.items())
        return b"{" + b",".join(members) + b"}"

    value = VALUE | deep() | st.just(b"9" * 5000)
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, value)).map(spelled)
    return st.binary() | VALUE.map(lambda one: json.dumps(one).encode()) | known


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@given(documents("errors", "code", "message").flatmap(lambda body: st.sampled_from([body, b'{"errors":[%s]}' % body])))
def test_any_error_body_is_one_short_line(body: bytes) -> None:
    codes, said = read_errors(body, ["secret-of-ours"])
    assert len(said) <= 300
    assert said.isprintable()
    assert all(isinstance(code, str) for code in codes)
    assert failure("read x", 404, codes, said, "h").message.startswith("read x: the registry answered 404")


@given(documents("tags"))
def test_any_page_has_tags_or_is_an_error(body: bytes) -> None:
    try:
        page = read_page("list the tags", body)
    except RegistryError:
        return
    assert all(isinstance(tag, str) for tag in page)


@given(st.lists(st.text() | st.from_regex(r"<[^>]*>;\s*rel=\"?next\"?")))
def test_any_link_leads_to_a_server_or_nowhere(links: list[str]) -> None:
    link = next_page(links)
    try:
        url = join(BASE, link) if link is not None else BASE
    except RegistryError:
        return
    scheme, host = origin(url)
    assert scheme == "https"
    assert re.fullmatch(r"[a-z0-9_.:-]+:[0-9]+", host)


@given(st.text() | st.from_regex(r'Bearer realm="https?://[^"]*"(,service="[^"]*")?') | st.text('Bearlm="\\, hts:/'))
def test_any_challenge_leads_to_no_other_site_with_a_credential(header: str) -> None:
    for challenge in parse_challenges(header):
        try:
            realm = token_server(challenge, "https://registry.example.com", "registry.example.com")
        except SignInError:
            continue
        if may_send("https://registry.example.com", realm):
            assert re.match(r"https://([a-z0-9_-]+\.)*example\.com(:|/|$|\?)", realm, re.IGNORECASE)


@given(
    documents("schemaVersion", "mediaType", "config", "layers", "manifests"), st.sampled_from([OCI_MANIFEST, OCI_INDEX])
)
def test_any_bytes_are_an_image_manifest_or_unsupported(body: bytes, kind: str) -> None:
    try:
        document = parse_document(body, kind)
    except UnsupportedImage:
        return
    inner = document.manifests if isinstance(document, ImageIndex) else document.blobs
    assert isinstance(document, ImageManifest | ImageIndex)
    assert all(0 <= one.size < 2**63 for one in inner)


@given(documents(*(LABEL + end for end in ("", ".reason", ".reference", ".replaces", ".replaces.media-type"))))
def test_any_config_is_an_epitaph_that_can_be_written_again_or_none(labels: bytes) -> None:
    found = read_epitaph(b'{"config":{"Labels":' + labels + b"}}")
    assert found is None or read_epitaph(tombstone_config(found)) == found


@given(st.text(), st.text(), st.lists(st.text()))
def test_any_error_can_be_named(operation: str, message: str, secrets: list[str]) -> None:
    found = named(operation, RegistryError(message, hint=message, status=500, codes=("X",)), secrets)
    assert (found.status, found.codes) == (500, ("X",))
    assert str(found) == found.message
