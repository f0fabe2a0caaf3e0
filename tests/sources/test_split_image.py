"""An image whose large layers are split, around one that is read from memory."""

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections import namedtuple
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from isal import igzip

from replsync.errors import CorruptBlob, NoRoom, ReplsyncError, UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import Descriptor, parse_document
from replsync.oci.image_tree import ImageTree
from replsync.oci.made_from import BUILD_INPUTS, build_of, read_made_from, split_of
from replsync.sources.split_image import Known, split
from tests.layers import tars
from tests.servers.images import build_image

Change = Callable[[dict[str, Any]], None]
LIMIT = 20_000
SOURCE = sha256(b"source")
PLAIN = tars.tar([tars.entry(f"{n}", Random(n).randbytes(9_000)) for n in range(8)])


class Held:
    """An image in memory, of one layer; `config` and `manifest` change what `build_image` makes of it."""

    repository = None

    def __init__(
        self,
        plain: bytes = PLAIN,
        config: Change = lambda config: None,
        manifest: Change = lambda manifest: None,
        layer: bytes = b"",
    ) -> None:
        made = build_image({})
        self.layer = layer or tars.stored(plain, "gzip")
        inner, outer = json.loads(made.config), json.loads(made.manifest)
        inner["rootfs"]["diff_ids"] = [sha256(plain)]
        config(inner)
        raw = json.dumps(inner).encode()
        outer["config"] |= {"digest": sha256(raw), "size": len(raw)}
        outer["layers"][0] |= {"digest": sha256(self.layer), "size": len(self.layer)}
        manifest(outer)
        self.blobs = {sha256(raw): raw, sha256(self.layer): self.layer}
        self.read_blobs: list[Digest] = []
        self.tree = ImageTree(parse_document(json.dumps(outer).encode(), made.media_type), {})

    async def read(self, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        self.read_blobs.append(blob.digest)
        data = self.blobs[blob.digest][start:]
        for at in range(0, len(data), 10_000):
            yield data[at : at + 10_000]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def failure(image: Held) -> ReplsyncError:
    with pytest.raises(ReplsyncError) as caught:
        async with split(image, LIMIT, SOURCE, {}):
            pass
    return caught.value


async def test_parts_are_read_from_any_byte_and_leave_nothing_behind(temporary: Path) -> None:
    held = Held()
    async with split(held, LIMIT, SOURCE, {}) as image:
        assert len(image.tree.blobs) == 5
        for blob in image.tree.blobs:
            data = b"".join([part async for part in image.read(blob)])
            assert sha256(data) == blob.digest
            assert b"".join([part async for part in image.read(blob, 17)]) == data[17:]
        (folder,) = temporary.iterdir()  # noqa: ASYNC240 - a test may block
        assert len(list(folder.iterdir())) == 4  # the parts: the layer itself is gone
    assert list(temporary.iterdir()) == []  # noqa: ASYNC240


async def test_the_same_image_is_split_into_the_same_bytes(temporary: Path) -> None:
    found = []
    for _ in range(2):
        async with split(Held(), LIMIT, SOURCE, {}) as image:
            found.append(image.tree.root.raw)
    assert found[0] == found[1]


async def test_its_labels_say_what_it_was_made_from_and_those_of_a_derived_image_do_not(temporary: Path) -> None:
    async with split(Held(), LIMIT, SOURCE, {}) as image:
        (config,) = image.configs.values()
    assert read_made_from(config) == split_of(SOURCE, LIMIT) == image.made_from
    derived = json.loads(config)
    assert read_made_from(json.dumps(derived, sort_keys=True, indent=1).encode()) == image.made_from
    derived["config"]["Env"] = ["a=b"]
    assert read_made_from(json.dumps(derived).encode()) is None


@pytest.mark.parametrize("is_built", [False, True])
async def test_only_a_build_of_its_own_is_still_known_by_its_inputs(temporary: Path, is_built: bool) -> None:
    def built(config: dict[str, Any]) -> None:
        config["config"]["Labels"] = {BUILD_INPUTS: SOURCE, "a": "b"}

    async with split(Held(config=built), LIMIT, SOURCE, {}, is_built=is_built) as image:
        (config,) = image.configs.values()
    assert read_made_from(config) == (build_of(SOURCE) if is_built else split_of(SOURCE, LIMIT))
    assert json.loads(config)["config"]["Labels"]["a"] == "b"


async def test_all_else_in_a_config_stays_and_labels_are_added_to_those_there(temporary: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config |= {"config": {"Labels": {"a": "b"}, "Cmd": ["c"]}, "os.features": ["x"], "author": "\ud800"}
        del config["history"]

    async with split(Held(config=change), LIMIT, SOURCE, {}) as image:
        (raw,) = image.configs.values()
    config = json.loads(raw)
    assert (config["config"]["Labels"]["a"], config["config"]["Cmd"]) == ("b", ["c"])
    assert (config["os.features"], config["author"]) == (["x"], "\ud800")
    assert "history" not in config


async def test_a_history_that_does_not_fit_the_layers_stays_as_it_is(temporary: Path) -> None:
    history = [{"created_by": "one"}, {"created_by": "two"}]
    async with split(Held(config=lambda config: config.update(history=history)), LIMIT, SOURCE, {}) as image:
        (config,) = image.configs.values()
    assert json.loads(config)["history"] == history


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config: config.update(rootfs=[]), "doesn't say what its layers are unpacked"),
        (lambda config: config["rootfs"].update(diff_ids=["sha256:1"]), "doesn't say what its layers are unpacked"),
        (lambda config: config["rootfs"].update(diff_ids=[]), "has 1 layers, and its config names 0"),
        (lambda config: config["rootfs"].update(diff_ids=[sha256(b"")]), "and the image's config says"),
        (lambda config: config.update(config=["x"]), "its config is not well-formed"),
        (lambda config: config.update(config={"Labels": "x"}), "its config is not well-formed"),
        (lambda config: config.update(history=["x"]), "its config is not well-formed"),
    ],
)
async def test_configs_that_make_no_sense_are_refused(
    temporary: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    error = await failure(Held(config=change))
    assert isinstance(error, UnsupportedImage)
    assert said in error.message


async def test_more_layers_than_docker_takes_are_refused(temporary: Path) -> None:
    many = tars.tar([tars.entry(f"{n}", Random(n).randbytes(15_000)) for n in range(128)])
    assert "it would have 128 layers, and 127 are the most" in (await failure(Held(plain=many))).message


@pytest.mark.parametrize("more", [-1, 1, 30_000])
async def test_a_layer_of_another_size_than_it_says_is_refused(temporary: Path, more: int) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"][0]["size"] += more

    assert isinstance(await failure(Held(manifest=change)), CorruptBlob)
    assert list(temporary.iterdir()) == []  # noqa: ASYNC240


async def test_too_little_room_is_said_before_anything_is_read(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1_000_000))
    error = await failure(Held())
    assert isinstance(error, NoRoom)
    assert "and 1,000,000 are free" in error.message
    assert error.hint
    assert "TMPDIR" in error.hint


async def test_no_temporary_folder_is_an_error_with_a_next_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    error = await failure(Held())
    assert isinstance(error, NoRoom)
    assert error.hint


async def test_a_cancelled_split_ends_its_thread_and_leaves_nothing(
    temporary: Path,
) -> None:
    zeros = tars.entry("zeros")[0]
    zeros.size = 10**9  # in 1 MB; it takes some seconds
    pieces = [zeros.tobuf(), *[bytes(10**8)] * 10, bytes(1024)]
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    layer = b"".join(igzip.compress(piece) for piece in (pieces[0], pieces[1]))
    layer += igzip.compress(pieces[1]) * 9 + igzip.compress(pieces[-1])

    def told(config: dict[str, Any]) -> None:
        config["rootfs"]["diff_ids"] = [f"sha256:{hasher.hexdigest()}"]

    splitting = asyncio.create_task(failure(Held(config=told, layer=layer)))
    while not list(temporary.glob("*/part")):  # noqa: ASYNC240 - a test may block
        assert not splitting.done()
        await asyncio.sleep(0.01)
    splitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await splitting
    await asyncio.get_running_loop().shutdown_default_executor()  # would wait for a thread that still works
    assert list(temporary.iterdir()) == []  # noqa: ASYNC240


async def test_a_layer_that_was_split_before_is_read_again_only_for_a_part_that_is_wanted(temporary: Path) -> None:
    known: Known = {}
    first, second = Held(), Held(config=lambda config: config.update(author="another"))
    async with split(first, LIMIT, SOURCE, known) as image:
        parts = [blob for blob in image.tree.blobs if not blob.is_config]
    async with split(second, LIMIT, SOURCE, known) as image:
        assert [blob for blob in image.tree.blobs if not blob.is_config] == parts
        assert len(second.read_blobs) == 1  # the config
        for blob in parts:
            assert sha256(b"".join([piece async for piece in image.read(blob)])) == blob.digest
        assert len(second.read_blobs) == 2
