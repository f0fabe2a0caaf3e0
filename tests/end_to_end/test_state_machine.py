"""Random edits, applies, saved plans, rollbacks, retirements and restores, against a model of the registry.

Every command is the real one, and speaks HTTP with a sandbox. What the registry
holds is read by plain HTTP after each step.
"""

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.end_to_end.held import Grave, Reader
from tests.end_to_end.in_process import Ended, call
from tests.end_to_end.model import (
    Entry,
    From,
    Held,
    Image,
    Model,
    Moving,
    Name,
    Pinned,
    Retired,
    Steps,
    Tomb,
    Whatever,
    blocked,
)
from tests.end_to_end.workplace import MANIFEST
from tests.end_to_end.written_manifest import MOVING, WrittenManifest
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

AMD64, ARM64 = (build_image({"a": b"one"}, platform=f"linux/{name}") for name in ("amd64", "arm64"))
IMAGES: dict[str, BuiltImage | BuiltIndex] = {
    "a": AMD64,
    "b": build_image({"b": b"two"}, base=AMD64, media="docker"),
    "c": build_index([AMD64, ARM64]),
}
DIGESTS = {letter: image.digest for letter, image in IMAGES.items()}
# The image `api` has no source of its own, so that what restore writes there is a digest alone.
NAMES: list[Name] = [("worker", "1.0"), ("worker", "1.1"), ("worker", "latest"), ("api", "1.0"), ("api", "latest")]
KEPT = ("api", "0.9")  # always listed: a manifest has no image of which it says nothing
MUTABLE = frozenset({"latest"})

names = st.sampled_from(NAMES)
letters = st.sampled_from(sorted(IMAGES))
reasons = st.sampled_from(["CVE-1, use 1.1", "end of life"])
entries = st.one_of(letters.map(From), st.just(Moving()), st.just(Whatever()), reasons.map(Retired))
edits = st.dictionaries(names, entries, min_size=1)
scopes = st.sampled_from(["", "", "worker", "api", *(":".join(name) for name in NAMES)])
numbers = itertools.count()


@dataclass(frozen=True)
class Saved:
    """A plan in a file, and what the manifest was when it was made."""

    path: Path
    steps: Steps
    manifest: bytes


@dataclass(frozen=True)
class Journal:
    """A journal, and what the run that left it wrote."""

    path: Path
    written: Steps


class Story(RuleBasedStateMachine):
    """One application, from an empty repository on."""

    saved = Bundle("saved")
    journals = Bundle("journals")

    def __init__(self, sandbox: RunningSandbox, folder: Path) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.app = f"app{next(numbers)}"
        self.folder = folder / self.app
        self.folder.mkdir()
        self.model = Model(MUTABLE)
        self.readers = {
            image: Reader(sandbox.host, f"{self.app}/{image}", sandbox.credentials) for image in ("worker", "api")
        }
        self.complete: set[Name] = set()
        self.known: set[Path] = set()
        self._written = WrittenManifest(sandbox.host, self.app, DIGESTS)

    @initialize(target=journals, there=st.dictionaries(names, letters), first=edits, in_block_style=st.booleans())
    def begin(self, there: dict[Name, str], first: dict[Name, Entry], in_block_style: bool) -> object:
        self._written = replace(self._written, in_block_style=in_block_style)
        for letter in IMAGES:
            self._push("upstream", letter, letter)
        self._push("upstream", MOVING, self.model.upstream)
        for name, letter in {KEPT: "a", **there}.items():
            self._push(*name, letter)
            self.model.held[name] = Image(letter)
        self.model.listed[KEPT] = Whatever()
        return self._edit_and_apply(first)

    # What people do.

    @rule(name=names, entry=entries)
    def list_a_tag_or_retire_it(self, name: Name, entry: Entry) -> None:
        """Also one that is listed otherwise, or retired for another reason."""
        self._list(name, entry)
        self._write_manifest()

    @rule(name=names)
    def list_a_tag_as_it_is(self, name: Name) -> None:
        now = self.model.held.get(name)
        self.model.listed[name] = From(now.letter if now else "a")
        self._write_manifest()

    @rule(name=names)
    def remove_a_tag_from_the_manifest(self, name: Name) -> None:
        self.model.listed.pop(name, None)
        self._write_manifest()

    @rule(letter=letters)
    def push_a_new_image_upstream(self, letter: str) -> None:
        self._push("upstream", MOVING, letter)
        self.model.upstream = letter

    @rule(name=names, letter=letters)
    def push_a_tag_by_hand(self, name: Name, letter: str) -> None:
        self._push(*name, letter)
        self.model.held[name] = Image(letter)

    # What replsync does.

    @rule(target=journals, several=edits)
    def edit_and_apply(self, several: dict[Name, Entry]) -> object:
        return self._edit_and_apply(several)

    @rule(target=journals, scope=scopes)
    def apply(self, scope: str) -> object:
        chosen = self._chosen(scope)
        options = ["--target", scope] if scope else []
        if chosen:
            return self._applied(*options, names=chosen)
        done = self._call("apply", "--auto-approve", *options)
        assert done.code in (0, 64), done.output  # whether there is an unlisted tag by that name
        return multiple()

    @rule(target=saved)
    def save_a_plan(self) -> object:
        steps = self.model.steps()
        path = self._plan_file()
        done = self._call("plan", "--detailed-exitcode", "--out", path.name)
        changes = any(step.before != step.after for step in steps.values())
        assert done.code == (7 if blocked(steps) else 2 if changes else 0), done.output
        return Saved(path, steps, self._manifest.read_bytes())

    @rule(target=saved, journal=journals)
    def save_the_way_back(self, journal: Journal) -> object:
        steps = self.model.way_back(journal.written)
        path = self._plan_file()
        done = self._call("rollback", str(journal.path), "--out", path.name)
        assert done.code == (7 if blocked(steps) else 0), done.output
        return Saved(path, steps, self._manifest.read_bytes())

    @rule(target=journals, plan=saved)
    def apply_a_saved_plan(self, plan: Saved) -> object:
        """However much later, and as often as you like."""
        done = self._call("apply", plan.path.name)
        if plan.manifest != self._manifest.read_bytes():
            assert (done.code, done.output.count("has changed since")) == (5, 1), done.output
            return multiple()
        if blocked(plan.steps):
            assert done.code == 7, done.output
            return multiple()
        if not self.model.still_fits(plan.steps):
            assert (done.code, done.output.count("since it was made")) == (5, 1), done.output
            return multiple()
        return self._carried_out(done, plan.steps)

    @rule(target=journals, pushed=st.none() | st.tuples(names, letters))
    def save_a_plan_and_apply_it(self, pushed: tuple[Name, str] | None) -> object:
        """With, or without, a push of somebody else in between."""
        plan = self.save_a_plan()
        if pushed:
            self.push_a_tag_by_hand(*pushed)
        return self.apply_a_saved_plan(plan)

    @rule(target=journals, journal=journals, twice=st.booleans())
    def roll_back(self, journal: Journal, twice: bool) -> object:
        """Any run, also one that was rolled back already, and whatever came after it."""
        made = self._rolled_back(journal)
        if twice:
            assert self._rolled_back(journal) == multiple()
        return made

    @rule(target=journals, name=names, reason=reasons, edit_only=st.booleans())
    def retire(self, name: Name, reason: str, edit_only: bool) -> object:
        how = "--edit-only" if edit_only else "--auto-approve"
        is_known = name in self.model.listed or self.model.held.get(name)
        done = self._call("retire", ":".join(name), "--reason", reason, how)
        if not is_known and not edit_only:
            assert done.code == 3, done.output
        else:
            self.model.listed[name] = Retired(reason)
        assert self._manifest_says() == self.model.listed
        if edit_only or not is_known:
            return multiple()
        return self._carried_out(done, self.model.steps([name]))

    @rule(target=journals, data=st.data())
    def restore(self, data: st.DataObject) -> object:
        """What can be restored, if anything can."""
        tombs = [name for name in NAMES if isinstance(self.model.held.get(name), Tomb)]
        name = data.draw(st.sampled_from([name for name in tombs if name in self.model.listed] or tombs or NAMES))
        now, entry = self.model.held.get(name), self.model.listed.get(name)
        done = self._call("restore", ":".join(name), "--auto-approve")
        if isinstance(now, Tomb) and isinstance(entry, Retired):
            self.model.listed[name] = Pinned(now.letter)
        assert self._manifest_says() == self.model.listed
        if isinstance(now, Tomb) and entry:
            return self._carried_out(done, self.model.steps([name]))
        assert done.code == (1 if isinstance(entry, Retired) else 3), done.output
        return multiple()

    @rule(plan=consumes(saved))
    def throw_a_plan_away(self, plan: Saved) -> None:
        plan.path.unlink()

    # What always holds.

    @invariant()
    def the_registry_holds_what_the_model_says(self) -> None:
        """Tags that no command wrote are as they were: the model never changes them."""
        for image, reader in self.readers.items():
            wanted = {tag: held for (owner, tag), held in self.model.held.items() if owner == image and held}
            assert sorted(reader.tags()) == sorted(wanted)
            for tag, held in wanted.items():
                self._check(reader, image, tag, held)

    def _check(self, reader: Reader, image: str, tag: str, held: Held) -> None:
        manifest = reader.manifest(tag)
        match held:
            case Image(letter):
                assert manifest == IMAGES[letter].manifest, f"{image}:{tag} is not {letter}"
                if (image, letter) not in self.complete:  # nothing is ever deleted
                    assert reader.is_complete(IMAGES[letter])
                    self.complete.add((image, letter))
            case Tomb(letter, reason):
                where = f"{self.sandbox.host}/{self.app}/{image}:{tag}"
                assert reader.grave(manifest) == Grave(where, reason, IMAGES[letter].digest)

    # How it is done.

    @property
    def _manifest(self) -> Path:
        return self.folder / MANIFEST

    def _call(self, *args: str) -> Ended:
        return call(self.folder, *args)

    def _push(self, image: str, tag: str, letter: str) -> None:
        push(self.sandbox.host, f"{self.app}/{image}", tag, IMAGES[letter], self.sandbox.credentials)

    def _plan_file(self) -> Path:
        return self.folder / f"plan-{next(numbers)}.json"

    def _chosen(self, scope: str) -> list[Name]:
        return [name for name in self.model.listed if not scope or scope in (name[0], ":".join(name))]

    def _rolled_back(self, journal: Journal) -> object:
        steps = self.model.way_back(journal.written)
        return self._carried_out(self._call("rollback", str(journal.path), "--auto-approve"), steps)

    def _list(self, name: Name, entry: Entry) -> None:
        """The image `worker` has a source: there, no tag is without one."""
        self.model.listed[name] = Moving() if name[0] == "worker" and entry == Whatever() else entry

    def _edit_and_apply(self, several: dict[Name, Entry]) -> object:
        """Edit; settle what that blocks, as somebody does who wants to get on; and apply."""
        for name, entry in several.items():
            self._list(name, entry)
        for name, step in self.model.steps().items():
            if step.is_blocked:
                self.model.listed[name] = From(step.before.letter if step.before else "b")
        self._write_manifest()
        return self._applied()

    def _applied(self, *options: str, names: Iterable[Name] | None = None) -> object:
        steps = self.model.steps(names)
        journal = self._carried_out(self._call("apply", "--auto-approve", *options), steps)
        if not blocked(steps):
            again = self._call("plan", "--detailed-exitcode", *options)
            assert again.code == 0, again.output
        return journal

    def _carried_out(self, done: Ended, steps: Steps) -> object:
        """Check how a run ended that was to carry `steps` out; returns the journal that it left, if any."""
        found = set(self.folder.glob(".replsync/journal/*.jsonl"))
        new, self.known = found - self.known, found
        if blocked(steps):
            assert (done.code, new) == (7, set()), done.output
            return multiple()
        assert done.code == 0, done.output
        written = self.model.carry_out(steps)
        assert len(new) == bool(written), done.output
        return Journal(new.pop(), written) if written else multiple()

    def _write_manifest(self) -> None:
        self._written.write(self._manifest, self.model.listed, MUTABLE)

    def _manifest_says(self) -> dict[Name, Entry]:
        return self._written.read(self._manifest)


@pytest.fixture
def signed_in(sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    """The sandbox, and this process as a user who has nothing but its token."""
    for name in set(os.environ):
        if name.startswith(("REPLICATED_", "DOCKER_", "REGISTRY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REPLICATED_API_TOKEN", sandbox.credentials.password)
    return sandbox


def test_the_registry_is_what_a_model_says_after_any_story(signed_in: RunningSandbox, tmp_path: Path) -> None:
    """The same stories each time; REPLSYNC_STORIES=1000 tries as many new ones."""
    more = os.environ.get("REPLSYNC_STORIES")

    class Here(Story):
        def __init__(self) -> None:
            super().__init__(signed_in, tmp_path)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=int(more or 16),
            stateful_step_count=25,
            derandomize=not more,
            print_blob=True,
            database=None,
            phases=[Phase.generate],  # shrinking a story of real requests takes longer than a test may
        ),
    )
