"""Plans with all that a plan document can hold."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from replsync.oci.build_source import BuildSource
from replsync.oci.digest import parse_digest, sha256
from replsync.oci.made_from import build_of, split_of
from replsync.oci.platform import Platform
from replsync.oci.recipe import Transforms
from replsync.oci.reference import Reference, Repository
from replsync.oci.source_name import RegistrySource
from replsync.oci.tag_state import Absent, Artifact, Resolved, TagState
from replsync.plan.action import Action, ByteCount
from replsync.plan.comparing import state_of
from replsync.plan.document import EngineName, Plan, PlannedManifest
from replsync.plan.guarding import protected
from replsync.plan.journal import Change
from replsync.plan.planner import Target
from replsync.plan.release_references import Mention
from replsync.plan.undoing import undo
from tests.plan.situations import (
    TARGET,
    WORKER,
    actions,
    digest,
    manifest,
    present,
    present_index,
    resolved,
    resolved_in_daemon,
    tombstone,
)


def saved(
    made: Iterable[Action], engine: EngineName = "registry", targets: tuple[str, ...] = ("worker:*", "*")
) -> Plan:
    """A plan of these actions, in which everything else that is optional is there too."""
    locked = PlannedManifest(
        "replicated-images.yaml", sha256(b"manifest"), TARGET.registry, TARGET.app, sha256(b"lock")
    )
    warnings = ("kots/a.yaml:1: {{repl x}}: what this names is unknown", "another")
    return Plan(
        "replsync 0.1.0", "2026-01-01T00:00:00Z", (locked,), tuple(made), engine, targets, warnings, ("worker: chosen",)
    )


def every_kind() -> Plan:
    """What the registry engine would do, each kind of action in each of its forms. Nothing is blocked."""
    file = manifest(
        mutable=["latest", "edge"],
        tags=["1.0", "1.1", "1.2", "1.3", "1.4", "dev", "edge", "latest"],
        retired=[
            {"tag": "0.1", "reason": "old"},
            {"tag": "0.2", "reason": "older", "even_if_referenced": True},
            {"tag": "0.3", "reason": "never there"},
            {"tag": "0.9", "reason": "old"},
        ],
    )
    there: dict[str, TagState] = {
        "0.1": present("0.1"),
        "0.2": tombstone("0.2", "another reason", tag="0.2"),
        "0.3": Absent(),
        "0.4": present("unlisted"),
        "0.9": present_index("0.9"),
        "1.0": Absent(),
        "1.1": tombstone("1.1", tag="1.1"),
        "1.2": tombstone("1.2", tag="1.2", readable=False),
        "1.3": present("1.3"),
        "1.4": present_index("1.4"),
        "dev": Absent(),
        "edge": present("old edge"),
        "latest": present_index("old latest"),
    }
    wanted = {tag: resolved(tag) for tag in ("1.0", "1.1", "1.2", "1.3", "1.4", "edge", "latest")}
    made = actions(file, there, {**wanted, "dev": resolved_in_daemon("dev")})
    mention = Mention("kots/a.yaml", 7, "worker:0.9", WORKER.tagged("0.9"))
    lifting = manifest(retired=[{"tag": "0.9", "reason": "old", "even_if_referenced": True}])
    noted = protected(made, lifting, TARGET, [mention])
    return saved(
        replace(action, bytes=ByteCount(900, 600, 300)) if action.tag != "latest" else replace(action, bytes=None)
        for action in noted
    )


def by_docker() -> Plan:
    """What the docker engine would do: it knows no digest before."""
    image = resolved("1.0")
    of_registry = Resolved(image.source, None, digest("1.0's config"), whole=digest("1.0's index"))
    there: dict[str, TagState] = {
        "0.1": present("0.1"),
        "1.0": Absent(),
        "1.1": tombstone("1.1", tag="1.1"),
        "dev": present("dev"),
        "edge": Absent(),
    }
    file = manifest(mutable=["dev"], tags=["1.0", "1.1", "dev", "edge"], retired=[{"tag": "0.1", "reason": "old"}])
    wanted = {
        "1.0": of_registry,
        "1.1": resolved_in_daemon("1.1"),
        "dev": resolved_in_daemon("newer"),
        "edge": resolved_in_daemon("edge"),
    }
    return saved(actions(file, there, wanted, daemon_pushes=True), "docker")


def a_rollback() -> Plan:
    """The way back: images and tombstones are put back by digest, and what was not there becomes a tombstone."""
    earlier: dict[str, TagState] = {
        "1.0": Absent(),
        "1.1": present("1.1"),
        "1.2": present("1.2"),
        "1.3": tombstone("1.3", tag="1.3"),
    }
    now: dict[str, TagState] = {
        "1.0": present("new 1.0"),
        "1.1": present("new 1.1"),
        "1.2": tombstone("1.2", tag="1.2"),
        "1.3": present("new 1.3"),
    }
    changes = [Change("worker", WORKER.tagged(tag), state_of(earlier[tag]), state_of(now[tag])) for tag in now]
    inventory = {WORKER.tagged(tag): state for tag, state in now.items()}
    whole = {WORKER.at(state.digest) for state in map(state_of, earlier.values()) if state and state.digest}
    return saved(undo(changes, inventory, whole), targets=())


def blocked() -> Plan:
    """A plan that is saved to be looked at, and never applied."""
    there: dict[str, TagState] = {
        "1.0": present("1.0"),
        "1.1": Artifact(digest("chart"), "application/vnd.cncf.helm.config.v1+json"),
    }
    return saved(actions(manifest(tags=["1.0", "1.1"]), there, {tag: resolved("other") for tag in there}), targets=())


def changed() -> Plan:
    """Images of which something is taken away, that are split, or built."""
    whole = resolved("whole")
    stripped = replace(whole, digest=digest("stripped"), transforms=Transforms("strip"), notes=("1 attestation",))
    chosen = replace(stripped, transforms=Transforms("strip", (Platform("linux", "arm", "v7"),)))
    split = replace(
        stripped, digest=None, transforms=Transforms("strip", (), 7), made_from=split_of(digest("stripped"), 7)
    )
    build = BuildSource("./worker", target="prod", args=(("VERSION", "1 2"),), platforms=(Platform("linux", "amd64"),))
    built = Resolved(build, None, made_from=build_of(digest("inputs")))
    wanted = {"1.0": stripped, "1.1": chosen, "1.2": split, "1.3": built}
    return saved(actions(manifest(tags=list(wanted)), dict.fromkeys(wanted, Absent()), wanted))


def several() -> Plan:
    """What is done for two manifests with an image of the same name, one in another application."""
    plan = next(parts(every_kind(), 2))
    other = Target("other.test", "app2")
    elsewhere = [
        replace(action, reference=other.repository(action.image).tagged(action.tag))
        for action in actions(manifest(tags=["1.0"]), {"1.0": present("1.0")}, {"1.0": resolved("1.0")})
    ]
    second = PlannedManifest("other.yaml", sha256(b"other manifest"), other.registry, other.app)
    return replace(plan, manifests=(*plan.manifests, second), actions=(*elsewhere, *plan.actions))


def sha512() -> Plan:
    """An image whose source is pinned by a digest of the other algorithm."""
    long = parse_digest("sha512:" + "0a" * 64)
    source = RegistrySource(Reference(Repository("ghcr.io", "acme/worker"), digest=long))
    return saved(actions(manifest(tags=["1.0"]), {"1.0": Absent()}, {"1.0": Resolved(source, long)}), targets=())


def parts(plan: Plan, count: int) -> Iterator[Plan]:
    """The same plan in parts of at most `count` actions: a test that changes each of them is quicker with few."""
    for first in range(0, len(plan.actions), count):
        yield replace(plan, actions=plan.actions[first : first + count])


PLANS = {
    f"{name}, part {number}": part
    for name, whole in {"every kind": every_kind(), "docker": by_docker(), "rollback": a_rollback()}.items()
    for number, part in enumerate(parts(whole, 3), 1)
} | {"blocked": blocked(), "changed": changed(), "several": several()}
