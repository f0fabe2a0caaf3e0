"""What holds for every apply, carried out for real on the sandbox."""

import asyncio
import itertools
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replsync.apply.executor import execute
from replsync.apply.registry_engine import RegistryEngine
from replsync.cli.course import Course
from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest
from replsync.plan.document import Plan
from replsync.plan.layer_sizes import limited
from replsync.plan.planner import Target, decide
from replsync.registry.blob_map import BlobMap
from replsync.registry.client import RegistryClient
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.transport import Transport
from replsync.sources.by_name import Sources
from replsync.survey.gathering import gather
from replsync.survey.measuring import measured
from tests.apply.journals import Unwritten
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

AMD64, ARM64 = (build_image({"a": b"one"}, platform=f"linux/{name}") for name in ("amd64", "arm64"))
IMAGES: dict[str, BuiltImage | BuiltIndex] = {
    "a": AMD64,
    "b": build_image({"b": b"two"}, base=AMD64),
    "c": build_index([AMD64, ARM64]),
}
TAGS = ["1.0", "1.1", "1.2", "latest"]
names = st.sampled_from(sorted(IMAGES))
numbers = itertools.count()


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, object]:
    """An entry of a manifest; its sources are named by letters still."""
    listed = draw(st.dictionaries(st.sampled_from(TAGS), names))
    retired = draw(st.sets(st.sampled_from(TAGS))) - listed.keys()
    return {
        "mutable": draw(st.sampled_from([["latest"], ["*"]])),
        "tags": [{"tag": tag, "source": listed[tag]} for tag in sorted(listed)],
        "retired": [{"tag": tag, "reason": draw(st.sampled_from(["old", "older"]))} for tag in sorted(retired)],
    }


@given(
    there=st.dictionaries(st.sampled_from(TAGS), names),
    entries=st.lists(manifests(), min_size=1, max_size=3),
    unlisted=st.sampled_from(["report", "tombstone"]),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_applies_change_what_their_plans_name_and_leave_nothing_to_do(
    sandbox: RunningSandbox, there: dict[str, str], entries: list[dict[str, object]], unlisted: str
) -> None:
    """Also one manifest after the other: tombstones of tombstones, and restores."""
    app = f"app{next(numbers)}"
    for name, image in IMAGES.items():
        push(sandbox.host, f"{app}/source", name, image, sandbox.credentials)
    for tag, name in there.items():
        push(sandbox.host, f"{app}/worker", tag, IMAGES[name], sandbox.credentials)
    for entry in entries:
        asyncio.run(_check(sandbox, app, entry, unlisted))


async def _check(sandbox: RunningSandbox, app: str, entry: dict[str, object], unlisted: str) -> None:
    tags = entry["tags"]
    assert isinstance(tags, list)
    sourced = [{**tag, "source": f"{sandbox.host}/{app}/source:{tag['source']}"} for tag in tags]
    image = {"name": "worker", "source": f"{sandbox.host}/{app}/source", **entry, "tags": sourced}
    manifest = Manifest.model_validate({"version": 1, "policy": {"unlisted": unlisted}, "images": [image]})
    target = Target(sandbox.host, app)
    user = Credential(sandbox.credentials.username, sandbox.credentials.password, "the test")
    async with Transport() as transport:
        client = RegistryClient(transport, CredentialStore({}, Path("/nonexistent"), {sandbox.host: user}))

        async def plan() -> tuple[Plan, RegistryEngine]:
            blobs = BlobMap(client, [target.repository("worker")])
            engine = RegistryEngine(client, Sources(client), blobs)
            loads = await measured(decide(manifest, await gather(manifest, target, client, engine)), engine, blobs)
            actions = limited(loads, None)
            return Plan("test", "2026-01-01T00:00:00Z", (), actions), engine

        async def digests() -> dict[str, Digest]:
            repository = target.repository("worker")
            found = {tag: await client.head(repository.tagged(tag)) for tag in await client.tags(repository)}
            return {tag: one.digest for tag, one in found.items() if one}

        before = await digests()
        made, engine = await plan()
        if made.blocked:
            return
        report = await execute(made, client, engine, Unwritten(), Course(None, []))
        assert report.failures == ()
        after = await digests()
        named = {action.tag for action in made.writes}
        assert {tag for tag in before.keys() | after.keys() if before.get(tag) != after.get(tag)} == named
        again, _ = await plan()
        assert again.writes == ()
        assert again.blocked == ()
