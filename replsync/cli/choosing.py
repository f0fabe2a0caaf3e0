"""What the selectors of a run choose: what a lock file says where there is one, else of the tags that sources have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from replsync.cli.manifests import refuse
from replsync.manifest.choice import Choice, in_need, locked_choice, with_choices
from replsync.manifest.lock import Lock, locked_tags
from replsync.manifest.model import Image
from replsync.plan.claims import Claims, Member, contradictions
from replsync.plan.selection import doubts
from replsync.registry.client import RegistryClient
from replsync.survey.selecting import choices, settled


@dataclass(frozen=True)
class Settled:
    """A manifest as it was `written`, what its selectors choose, and the `member` that lists all of that."""

    written: Member
    choices: tuple[Choice, ...]
    member: Member

    def summaries(self, *, several: bool) -> list[str]:
        """What each selector chooses that chooses something; with the manifest's name where there are `several`."""
        return [self._named(choice.summary, several) for choice in self.choices if choice.tags]

    def doubts(self, *, several: bool) -> list[str]:
        """What may not be meant, likewise."""
        return [self._named(said, several) for said in doubts(self.written.file.manifest, self.choices)]

    def _named(self, said: str, several: bool) -> str:
        return f"{self.written.file.name}: {said}" if several else said


async def choose(
    members: Sequence[Member],
    locks: Sequence[Lock | None],
    targets: Sequence[str],
    client: RegistryClient,
) -> list[Settled]:
    """Return what the selectors of each manifest choose, as far as it matters for `targets`, which are patterns.

    `locks` are the lock files beside them. A tag that another manifest lists or
    retires is that one's. Raises InvalidInput where two manifests choose the
    same tag for the same image, or one more than it may; ReplsyncError where a source can't be asked.
    """
    claims = Claims.of(members)
    found = []
    for member, lock in zip(members, locks, strict=True):
        made = await _choices(in_need(member.file.manifest, targets), lock, client)
        found.append(with_chosen(member, [_unclaimed(choice, member, claims) for choice in made]))
    refuse(contradictions([one.member for one in found]))
    return found


def with_chosen(member: Member, chosen: Sequence[Choice]) -> Settled:
    """Return the manifest with these choices."""
    file = replace(member.file, manifest=with_choices(member.file.manifest, chosen))
    return Settled(member, tuple(chosen), replace(member, file=file))


def as_locked(lock: Lock | None, image: Image) -> Choice | None:
    """Return what the lock has for this image's selector; None where it hasn't. Raises InvalidInput for too many."""
    tags = locked_tags(lock, image)
    return None if tags is None else locked_choice(image, tags)


async def _choices(images: Sequence[Image], lock: Lock | None, client: RegistryClient) -> tuple[Choice, ...]:
    locked = {image.name: choice for image in images if (choice := as_locked(lock, image))}
    asked = settled(await choices([image for image in images if image.name not in locked], client))
    made = locked | {choice.image: choice for choice in asked}
    return tuple(made[image.name] for image in images)


def _unclaimed(choice: Choice, member: Member, claims: Claims) -> Choice:
    repository = member.target.repository(choice.image)
    tags = [tag for tag in choice.tags if not claims.is_named_elsewhere(repository.tagged(tag), member)]
    return replace(choice, tags=tuple(tags))
