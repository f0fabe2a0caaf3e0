"""Several manifests in one run: which of them a tag belongs to, and where two of them contradict each other. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

from replsync.manifest.faults import Fault, InvalidManifest, harmless, shown
from replsync.manifest.model import Image
from replsync.manifest.read import ManifestFile
from replsync.manifest.select import Select
from replsync.oci.reference import Reference, Repository
from replsync.plan.planner import Target


@dataclass(frozen=True)
class Member:
    """A manifest of a run, and where its images live."""

    file: ManifestFile
    target: Target

    @property
    def folder(self) -> str:
        """The manifest's, from which the paths of its sources and releases start."""
        return str(PurePath(self.file.name).parent)

    @property
    def repositories(self) -> list[Repository]:
        """The manifest's repositories at the target."""
        return [self.target.repository(image.name) for image in self.file.manifest.images]

    @property
    def hosts(self) -> frozenset[str]:
        """The registry, by all names that the manifest knows."""
        return frozenset({self.target.registry, *self.file.manifest.registry_aliases})


@dataclass(frozen=True)
class Claims:
    """Which member of a run each tag belongs to: the one that lists it or retires it.

    A tag that none of them names belongs to the first whose `select` for its
    image it fits, else to the first that has its image. The names of one
    registry, by `registry_aliases`, count as one.
    """

    _members: tuple[Member, ...]
    _names: Mapping[str, str]
    _tags: Mapping[Reference, Member]
    _images: Mapping[Repository, Member]
    _selects: Mapping[Repository, Sequence[tuple[Select, Member]]]

    @classmethod
    def of(cls, members: Sequence[Member]) -> Self:
        """Return the claims of these members; of contradicting ones, the first counts (see `contradictions`)."""
        names = _one_name_each(member.hosts for member in members)
        tags: dict[Reference, Member] = {}
        images: dict[Repository, Member] = {}
        selects: dict[Repository, list[tuple[Select, Member]]] = {}
        for member in members:
            for image in member.file.manifest.images:
                repository = _repository(member, image, names)
                images.setdefault(repository, member)
                if image.select:
                    selects.setdefault(repository, []).append((image.select, member))
                for _, tag in _entries(0, image):
                    tags.setdefault(repository.tagged(tag), member)
        return cls(tuple(members), names, tags, images, selects)

    def owner(self, tag: Reference) -> Member | None:
        """Return the member that `tag` belongs to; None where no member has its image."""
        repository = Repository(self._names.get(tag.repository.host, tag.repository.host), tag.repository.path)
        named = self._tags.get(repository.tagged(tag.tag or ""))
        return named or self._selector(repository, tag.tag or "") or self._images.get(repository)

    def _selector(self, repository: Repository, tag: str) -> Member | None:
        found = self._selects.get(repository, ())
        if len({id(member) for _, member in found} | {id(self._images.get(repository))}) == 1:
            return None  # it has the image anyway
        from replsync.manifest.selecting import fits  # here: few manifests share an image, and select tags of it

        return next((member for select, member in found if fits(select, tag)), None)

    def names(self, tag: Reference, member: Member) -> bool:
        """Whether this member lists or retires `tag`."""
        repository = Repository(self._names.get(tag.repository.host, tag.repository.host), tag.repository.path)
        return self._tags.get(repository.tagged(tag.tag or "")) is member

    def is_named_elsewhere(self, tag: Reference, member: Member) -> bool:
        """Whether another member than this one lists or retires `tag`."""
        repository = Repository(self._names.get(tag.repository.host, tag.repository.host), tag.repository.path)
        return self._tags.get(repository.tagged(tag.tag or ""), member) is not member


def contradictions(members: Sequence[Member]) -> tuple[InvalidManifest, ...]:
    """Return what members say against one another, as faults of the later one.

    A tag that two of them list or retire; and for an image that two of them
    have, another policy for the tags that neither names.
    """
    if len(members) == 1:
        return ()
    names = _one_name_each(member.hosts for member in members)
    tags: dict[Reference, str] = {}
    images: dict[Repository, Member] = {}
    found = []
    for member in members:
        faults = []
        own: dict[Reference, str] = {}
        for number, image in enumerate(member.file.manifest.images):
            repository = _repository(member, image, names)
            faults += list(_other_policy(member, number, image, images.setdefault(repository, member)))
            for path, tag in _entries(number, image):
                line, column = member.file.positions.of(path)
                reference = repository.tagged(tag)
                if reference in tags:
                    message = f"{shown(f'{image.name}:{tag}')} belongs to {harmless(tags[reference])} already"
                    faults.append(Fault(line, column, message, "name it in one of the two: a tag has one manifest"))
                own[reference] = f"{member.file.name}:{line}:{column}"
        tags = own | tags
        if faults:
            found.append(InvalidManifest(member.file.name, faults))
    return tuple(found)


def _other_policy(member: Member, number: int, image: Image, first: Member) -> Iterator[Fault]:
    here, there = (one.file.manifest.policy.unlisted for one in (member, first))
    if here != there:
        line, column = member.file.positions.of(("images", number, "name"))
        message = (
            f"{shown(image.name)} is an image of {harmless(first.file.name)}, too, where policy.unlisted is {there}, "
            f"and here it is {here}"
        )
        yield Fault(line, column, message, "say the same in both: it is for the tags that neither of them names")


def _entries(number: int, image: Image) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield from ((("images", number, "tags", place), tag.tag) for place, tag in enumerate(image.tags))
    yield from ((("images", number, "retired", place), entry.tag) for place, entry in enumerate(image.retired))


def _repository(member: Member, image: Image, names: Mapping[str, str]) -> Repository:
    repository = member.target.repository(image.name)
    return Repository(names[repository.host], repository.path)


def _one_name_each(groups: Iterable[frozenset[str]]) -> dict[str, str]:
    """Return one name for each host: the same for all that are in a group together, be it by way of others."""
    names: dict[str, str] = {}
    for group in groups:
        known = {names[host] for host in group if host in names}
        name = min(known | group)
        names |= {host: name for host, old in names.items() if old in known}
        names |= dict.fromkeys(group, name)
    return names
