"""Images in layouts, as folders and as tars: what is read, and what a hostile one is refused for."""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from replsync.errors import CorruptBlob, InvalidInput, ReplsyncError, UnsupportedImage
from replsync.oci.digest import parse_digest, sha256
from replsync.oci.image_manifest import OCI_INDEX
from replsync.oci.platform import parse_platform
from replsync.oci.recipe import Recipe, Transforms
from replsync.oci.source_name import LayoutSource, pinned
from replsync.registry.client import RegistryClient
from replsync.sources.archive import Archive
from replsync.sources.by_name import Sources
from replsync.sources.file_part import MAX_JSON
from replsync.sources.layout_folder import LayoutFolder
from replsync.sources.layout_image import LayoutImage
from tests.servers.attested import FORMS, Form, build_attested
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index
from tests.servers.layouts import descriptor, layout, path_of, tar

AMD = build_image({"a": b"1" * 300_000}, platform="linux/amd64")
ARM = build_image({"b": os.urandom(600_000)}, platform="linux/arm64")
BOTH = build_index([AMD, ARM])

Write = Callable[[dict[str, bytes]], LayoutSource]


@pytest.fixture(params=["folder", "tar"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writes a layout of these files."""

    def folder(files: dict[str, bytes]) -> LayoutSource:
        for name, data in files.items():
            file = tmp_path / "dist" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return LayoutSource(str(tmp_path / "dist"))

    def archive(files: dict[str, bytes]) -> LayoutSource:
        (tmp_path / "dist.tar").write_bytes(tar(files.items()))
        return LayoutSource(str(tmp_path / "dist.tar"), is_archive=True)

    return folder if request.param == "folder" else archive


def image_of(source: LayoutSource, **transforms: Any) -> LayoutImage:
    files = Archive(source.path) if source.is_archive else LayoutFolder(source.path)
    return LayoutImage(files, source, Transforms(**transforms))


async def refused(source: LayoutSource, **transforms: Any) -> ReplsyncError:
    image = image_of(source, **transforms)
    with pytest.raises(ReplsyncError) as caught:
        await image.content()
    assert isinstance(caught.value, UnsupportedImage | InvalidInput)
    return caught.value


def damaged(files: dict[str, bytes], digest: str, data: bytes) -> dict[str, bytes]:
    return {**files, path_of(digest): data}


def layer_of(image: BuiltImage) -> str:
    return str(json.loads(image.manifest)["layers"][0]["digest"])


async def all_of(image: LayoutImage) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async with image.open() as opened:
        for blob in opened.tree.blobs:
            async with aclosing(opened.read(blob)) as parts:
                found[blob.digest] = b"".join([part async for part in parts])
    return found


@pytest.mark.parametrize("built", [AMD, BOTH], ids=["image", "index"])
async def test_an_image_is_what_the_layout_has(write: Write, built: BuiltImage | BuiltIndex) -> None:
    source = write(layout({None: built}))
    image = image_of(source)
    resolved = await image.identify()
    assert (resolved.source, resolved.digest) == (pinned(source, parse_digest(built.digest)), built.digest)
    blobs = {
        key: blob
        for one in (built.images if isinstance(built, BuiltIndex) else (built,))
        for key, blob in one.blobs.items()
    }
    content = await image.content()
    assert (content.total, content.repository) == (sum(map(len, blobs.values())), None)
    assert await all_of(image) == blobs
    async with image.open() as opened:
        assert opened.tree.root.raw == built.manifest


async def test_a_blob_is_read_from_any_byte_on(write: Write) -> None:
    image = image_of(write(layout({None: ARM})))
    async with image.open() as opened:
        for blob in opened.tree.blobs:
            for start in (0, 1, 262_144, blob.size - 1, blob.size):
                read = b"".join([part async for part in opened.read(blob, start)])
                assert read == ARM.blobs[blob.digest][start:]


@pytest.mark.parametrize("form", FORMS)
async def test_attestations_are_stripped_as_they_are_of_a_registrys(write: Write, form: Form) -> None:
    attested = build_attested([AMD], form)
    source = write(layout({"1": attested}))
    resolved = await image_of(source, attestations="strip").identify()
    assert resolved.digest == attested.images[0].digest
    assert resolved.whole == attested.digest
    assert resolved.source == pinned(source, parse_digest(attested.digest))
    assert resolved.notes == ("1 attestation is stripped",)


async def test_platforms_are_chosen(write: Write) -> None:
    source = write(layout({None: BOTH}))
    arm = (parse_platform("linux/arm64"),)
    assert (await image_of(source, platforms=arm).identify()).digest == ARM.digest
    assert await all_of(image_of(source, platforms=arm)) == dict(ARM.blobs)
    error = await refused(source, platforms=(parse_platform("linux/s390x"),))
    assert "it has no image for linux/s390x; it has linux/amd64, linux/arm64" in error.message


async def test_an_image_by_itself_must_be_of_the_platform(write: Write) -> None:
    source = write(layout({None: AMD}))
    assert (await image_of(source, platforms=(parse_platform("linux/amd64"),)).identify()).digest == AMD.digest
    error = await refused(source, platforms=(parse_platform("linux/arm64"),))
    assert error.message == f"{source}: it has no image for linux/arm64; it has linux/amd64"


async def test_an_index_without_media_types_in_its_manifests_is_read(write: Write) -> None:
    """Older programs leave `mediaType` out of OCI image manifests: only the descriptor tells it."""
    body = json.loads(AMD.manifest)
    media_type = body.pop("mediaType")
    raw = json.dumps(body).encode()
    inner = json.dumps(
        {"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": sha256(raw), "size": len(raw)}]}
    ).encode()
    entry = {"mediaType": OCI_INDEX, "digest": sha256(inner), "size": len(inner)}
    files = layout({None: AMD})
    files |= {path_of(sha256(raw)): raw, path_of(sha256(inner)): inner}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    assert (await image_of(write(files)).identify()).digest == sha256(inner)
    assert await all_of(image_of(write(files))) == dict(AMD.blobs)


async def test_what_is_not_there_is_refused_with_a_next_move(tmp_path: Path) -> None:
    for source in (LayoutSource(str(tmp_path / "x")), LayoutSource(str(tmp_path / "x"), is_archive=True)):
        error = await refused(source)
        assert isinstance(error, InvalidInput)
        assert error.message == f"read {tmp_path / 'x'}: No such file or directory"
        assert error.hint == "check the source's path: it starts from the manifest's folder"


async def test_a_folder_is_no_archive_and_an_archive_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(tar(layout({None: AMD}).items()))
    assert "Not a directory" in (await refused(LayoutSource(str(tmp_path / "file")))).message
    assert "is no plain file" in (await refused(LayoutSource(str(tmp_path), is_archive=True))).message


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
async def test_a_layout_that_lacks_a_file_is_refused(write: Write, name: str) -> None:
    files = layout({None: AMD})
    del files[name]
    assert f"there is no {name}" in (await refused(write(files))).message.replace("'", "").removesuffix(" in it")


@pytest.mark.parametrize("digest", [AMD.digest, AMD.config_digest, layer_of(AMD)], ids=["manifest", "config", "layer"])
async def test_a_blob_that_is_missing_is_named(write: Write, digest: str) -> None:
    files = layout({None: AMD})
    del files[path_of(digest)]
    source = write(files)
    error = await refused(source)
    assert error.message == f"{source}: it lacks {digest}"


@pytest.mark.parametrize("digest", [AMD.digest, AMD.config_digest, layer_of(AMD)])
@pytest.mark.parametrize("change", [-1, 1])
async def test_a_size_that_lies_is_refused_before_anything_is_sent(write: Write, digest: str, change: int) -> None:
    files = layout({None: AMD})
    data = files[path_of(digest)]
    error = await refused(write(damaged(files, digest, data[:-1] if change < 0 else data + b"x")))
    assert f"has {len(data) + change} bytes, and should have {len(data)}" in error.message


async def test_an_image_manifest_with_another_digest_is_refused(write: Write) -> None:
    files = layout({None: AMD})
    error = await refused(write(damaged(files, AMD.digest, AMD.manifest[:-1] + b" ")))
    assert "is damaged: it has another digest" in error.message


async def test_a_layer_with_another_digest_is_refused_at_its_last_byte(write: Write) -> None:
    digest = layer_of(ARM)
    files = layout({None: ARM})
    data = files[path_of(digest)]
    image = image_of(write(damaged(files, digest, data[:-1] + bytes([data[-1] ^ 1]))))
    read: list[bytes] = []

    async def read_layer() -> None:
        async with image.open() as opened:
            (layer,) = [blob for blob in opened.tree.blobs if blob.digest == digest]
            async for part in opened.read(layer):
                read.append(part)  # noqa: PERF401 - what comes before the end is wanted

    with pytest.raises(CorruptBlob, match="its bytes are not those of its digest"):
        await read_layer()
    assert 0 < len(b"".join(read)) < len(data)


async def test_an_index_that_names_itself_can_only_lie_about_a_digest(write: Write) -> None:
    claimed = "sha256:" + "c" * 64
    inner = json.dumps(
        {"schemaVersion": 2, "manifests": [{"mediaType": OCI_INDEX, "digest": claimed, "size": 185}]}
    ).encode()
    inner += b" " * (185 - len(inner))
    files = {
        **layout({}, [{"mediaType": OCI_INDEX, "digest": claimed, "size": len(inner)}]),
        path_of(claimed): inner,
    }
    assert "is damaged: it has another digest" in (await refused(write(files))).message


async def test_indexes_within_indexes_end(write: Write) -> None:
    document: Any = BOTH
    files = layout({None: BOTH})
    for _ in range(8):
        raw = json.dumps({"schemaVersion": 2, "manifests": [descriptor(document)]}).encode()
        document = BuiltIndex(raw, OCI_INDEX, ())
        files[path_of(document.digest)] = raw
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [descriptor(document)]}).encode()
    assert "more than 4 deep" in (await refused(write(files))).message


@pytest.mark.parametrize("name", ["oci-layout", "index.json", path_of(AMD.digest)])
async def test_a_document_beyond_all_bounds_is_not_read(write: Write, name: str) -> None:
    files = layout({None: AMD})
    files[name] += b" " * (MAX_JSON + 1)
    error = await refused(write(files))
    assert f"bytes, and is read up to {MAX_JSON}" in error.message


async def test_another_artifact_is_refused_as_a_registrys_is(write: Write) -> None:
    body = json.loads(AMD.manifest)
    body["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    raw = json.dumps(body).encode()
    files = layout({None: AMD}) | {path_of(sha256(raw)): raw}
    entry = {"mediaType": AMD.media_type, "digest": sha256(raw), "size": len(raw)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    assert "it is a Helm chart" in (await refused(write(files))).message


@pytest.mark.parametrize(
    "name", ["index.json", "oci-layout", "blobs", "blobs/sha256", path_of(AMD.digest), path_of(layer_of(AMD))]
)
async def test_links_in_a_folder_are_not_followed(tmp_path: Path, name: str) -> None:
    for file, data in layout({None: AMD}).items():
        (tmp_path / "dist" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dist" / file).write_bytes(data)
    linked = tmp_path / "dist" / name
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    error = await refused(LayoutSource(str(tmp_path / "dist")))
    assert "links are not followed" in error.message
    assert error.hint is not None
    assert "cp -rL" in error.hint


async def test_the_users_own_path_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("dist")
    for file, data in layout({None: AMD}).items():
        (tmp_path / "dist" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dist" / file).write_bytes(data)
    assert (await image_of(LayoutSource(str(tmp_path / "link"))).identify()).digest == AMD.digest


@pytest.mark.parametrize("name", ["index.json", path_of(AMD.digest)])
async def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    for file, data in layout({None: AMD}).items():
        (tmp_path / "dist" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dist" / file).write_bytes(data)
    (tmp_path / "dist" / name).unlink()
    os.mkfifo(tmp_path / "dist" / name)
    assert "no plain file" in (await refused(LayoutSource(str(tmp_path / "dist")))).message
    assert "no plain file" in (await refused(LayoutSource(str(tmp_path / "dist" / name), is_archive=True))).message


def hostile(path: Path, *members: tarfile.TarInfo, files: Iterable[tuple[str, bytes]] = ()) -> LayoutSource:
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return LayoutSource(str(path), is_archive=True)


async def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    files = layout({None: AMD})
    (tmp_path / "secret").write_bytes(files.pop("index.json"))
    link = tarfile.TarInfo("index.json")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        link.type, link.linkname = kind, str(tmp_path / "secret")
        source = hostile(tmp_path / "dist.tar", link, files=files.items())
        assert "is a link, and links are not followed" in (await refused(source)).message


@pytest.mark.parametrize("name", ["../evil", "/evil", "blobs/../../evil"])
async def test_an_archive_with_a_member_outside_of_it_is_refused(tmp_path: Path, name: str) -> None:
    source = hostile(tmp_path / "dist.tar", tarfile.TarInfo(name), files=layout({None: AMD}).items())
    error = await refused(source)
    assert error.message == f"{source}: the member {name!r} would lie outside of the archive"
    assert not (tmp_path / "evil").exists()


async def test_an_archive_with_a_member_twice_is_refused(tmp_path: Path) -> None:
    source = hostile(tmp_path / "dist.tar", tarfile.TarInfo("index.json"), files=layout({None: AMD}).items())
    assert "the member 'index.json' twice" in (await refused(source)).message


async def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    data = tar(layout({None: ARM}).items())
    (tmp_path / "dist.tar").write_bytes(data[: len(data) // 2])
    error = await refused(LayoutSource(str(tmp_path / "dist.tar"), is_archive=True))
    assert "the tar is cut off" in error.message


async def test_an_archive_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dist.tar"
    path.write_bytes(tar(layout({None: AMD}).items()))
    image = image_of(LayoutSource(str(path), is_archive=True))
    async with image.open() as opened:
        path.write_bytes(tar(layout({None: ARM}).items()))
        with pytest.raises(UnsupportedImage, match="has changed since"):
            async for _ in opened.read(opened.tree.blobs[0]):
                pass


async def test_a_layout_that_gets_another_image_keeps_what_was_looked_up(tmp_path: Path) -> None:
    """A pinned layout has just that image, or none."""
    for file, data in layout({"1": AMD}).items():
        (tmp_path / "dist" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dist" / file).write_bytes(data)
    source = LayoutSource(str(tmp_path / "dist"), "1")
    resolved = await image_of(source).identify()
    assert isinstance(resolved.source, LayoutSource)
    (tmp_path / "dist" / "index.json").write_bytes(layout({"1": ARM})["index.json"])
    assert "it has another image" in (await refused(resolved.source)).message


async def test_a_recipe_makes_one_source_and_an_archive_is_listed_once(client: RegistryClient, tmp_path: Path) -> None:
    (tmp_path / "dist.tar").write_bytes(tar(layout({"1": AMD, "2": ARM}).items()))
    sources = Sources(client)
    one, two = (LayoutSource(str(tmp_path / "dist.tar"), tag, is_archive=True) for tag in "12")
    assert sources.of(Recipe(one)) is sources.of(Recipe(one))
    assert sources.of(Recipe(one)) is not sources.of(Recipe(two))
    assert (await sources.of(Recipe(two)).identify()).digest == ARM.digest
