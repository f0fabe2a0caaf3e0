"""What a lock file says of images that are changed on their way: `--locked` knows what is pushed and asks nobody."""

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import error
from tests.end_to_end.test_changed_images import AMD, ARM, Place
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.attested import build_attested
from tests.servers.images import build_index
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

LOCK = "replicated-images.lock.yaml"
ATTESTED = build_attested([AMD])
LEFT = ATTESTED.images[0]
"""What is pushed of ATTESTED."""
BOTH = build_index([AMD, ARM])


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox, docker_registry: RegistryServer) -> Place:
    return Place(workplace, sandbox, docker_registry)


def lock_of(place: Place) -> str:
    return (place.workplace.folder / LOCK).read_text()


def test_what_is_left_of_an_attested_image_is_locked_and_planned_without_its_source(
    place: Place, skopeo: Skopeo, start_proxy: StartProxy
) -> None:
    place.offer(ATTESTED)
    place.offer(AMD, "plain")
    proxy = start_proxy(place.source.host)
    source = f"{proxy.host}/{place.repository}"
    place.write(["1", "plain"], source=source)
    done = place.workplace.run("lock")
    assert done.returncode == 0, done.stderr
    becomes = f"{ATTESTED.digest[7:19]}  becomes {LEFT.digest[7:19]}  (attestations strip)"
    assert f"  + {becomes}\n{LOCK}: 2 sources, 3 changed\n" in done.stdout
    # An image of which nothing is taken away is not listed.
    assert lock_of(place).endswith(f"pushed:\n  attestations strip:\n    {ATTESTED.digest}: {LEFT.digest}\n")
    assert place.workplace.run("lock").stdout == f"{LOCK}: 2 sources, no changes\n"
    assert place.workplace.run("lock", "--check").returncode == 0
    proxy.asked.clear()
    action = place.workplace.actions("--locked")["worker:1"]
    assert (action["kind"], action["after"]["digest"]) == ("create", LEFT.digest)
    assert action["notes"] == [f"it is changed as {LOCK} says: attestations strip"]
    assert proxy.asked == []
    place.workplace.apply("--locked")
    assert place.pushed(skopeo) == LEFT.manifest
    proxy.script = lambda _: error(503, "UNAVAILABLE")
    assert place.workplace.is_in_sync("--locked")


def test_an_image_that_goes_unchanged_with_these_platforms_is_said_to(place: Place, skopeo: Skopeo) -> None:
    place.offer(BOTH, "1")
    place.offer(AMD, "2")
    place.write(["1", "2"], platforms=["linux/amd64"])
    assert place.workplace.run("lock").returncode == 0
    facts = sorted([f"    {BOTH.digest}: {AMD.digest}\n", f"    {AMD.digest}: {AMD.digest}\n"])
    assert lock_of(place).endswith(f"pushed:\n  attestations strip, platforms linux/amd64:\n{''.join(facts)}")
    assert place.workplace.kinds("--locked") == {"worker:1": "create", "worker:2": "create"}
    place.workplace.apply("--locked")
    assert place.pushed(skopeo) == AMD.manifest
    assert place.workplace.is_in_sync("--locked")


def test_other_platforms_than_those_that_were_locked_block_until_lock_is_run(place: Place) -> None:
    place.offer(BOTH)
    place.write(platforms=["linux/amd64"])
    assert place.workplace.run("lock").returncode == 0
    place.write(platforms=["linux/arm64"])
    action = place.action("--locked")
    assert action["kind"] == "blocked"
    assert f"{LOCK} does not say what is pushed of it" in action["reason"]
    assert "with attestations strip, platforms linux/arm64; run `replsync lock`" in action["reason"]
    check = place.workplace.run("lock", "--check")
    assert check.returncode == 2, check.stderr
    assert "what is pushed of it is not in the lock file\n" in check.stdout
    assert place.action()["after"]["digest"] == ARM.digest  # the source may be asked
    assert place.workplace.run("lock").returncode == 0
    assert place.action("--locked")["after"]["digest"] == ARM.digest
    assert "amd64" not in lock_of(place)


def test_a_source_that_is_pinned_in_the_manifest_is_said_too(place: Place) -> None:
    place.offer(ATTESTED)
    place.write([{"tag": "1", "source": f"{place.source.host}/{place.repository}@{ATTESTED.digest}"}])
    assert place.workplace.run("lock").returncode == 0
    assert place.action("--locked")["after"]["digest"] == LEFT.digest


def test_a_lock_file_from_before_is_read_and_what_it_cannot_know_is_not_pushed(place: Place) -> None:
    place.offer(ATTESTED)
    place.write()
    text = f"version: 1\nsources:\n  docker://{place.source.host}/{place.repository}:1: {ATTESTED.digest}\n"
    (place.workplace.folder / LOCK).write_text(text)
    assert place.action()["after"]["digest"] == LEFT.digest
    assert place.action("--locked")["after"]["digest"] == ATTESTED.digest
    done = place.workplace.run("apply", "--locked", "--auto-approve")
    assert done.returncode == 6, done.stdout + done.stderr
    assert f"{LEFT.digest[:19]}… would be pushed instead of {ATTESTED.digest[:19]}…, which was planned" in done.stdout
    assert place.action()["kind"] == "create"
    assert place.workplace.run("lock", "--upgrade", "worker").returncode == 0
    assert place.action("--locked")["after"]["digest"] == LEFT.digest


def test_a_platform_that_the_source_lacks_is_not_locked(place: Place) -> None:
    place.offer(BOTH)
    place.write(platforms=["linux/s390x"])
    assert_refused(place.workplace.run("lock"), 1, "no image for linux/s390x", "change `platforms`")
    assert not (place.workplace.folder / LOCK).exists()
