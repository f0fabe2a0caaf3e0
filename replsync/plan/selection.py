"""What a plan says of the tags that `select` chose. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from replsync.manifest.choice import Choice, floating
from replsync.manifest.model import Manifest
from replsync.plan.action import Action

_NAMED = 3
"""Tags that a sentence names; the others are counted."""


def explained(actions: Iterable[Action], manifest: Manifest, choices: Iterable[Choice]) -> tuple[Action, ...]:
    """Return the actions, with a note on each for whose tag nothing but a selector speaks.

    `manifest` is as it was written, without the selected tags.
    """
    by_name: Mapping[str, set[str]] = {
        image.name: {tag.tag for tag in image.tags} | {entry.tag for entry in image.retired}
        for image in manifest.images
    }
    why = {
        f"{choice.image}:{tag}": choice.why
        for choice in choices
        for tag in choice.tags
        if tag not in by_name[choice.image]
    }
    return tuple(
        replace(action, notes=(*action.notes, why[action.label])) if action.label in why else action
        for action in actions
    )


def doubts(manifest: Manifest, choices: Iterable[Choice]) -> tuple[str, ...]:
    """Return a sentence for each choice that may not be what was meant."""
    images = {image.name: image for image in manifest.images}
    found = []
    for choice in choices:
        if not choice.tags:
            found.append(choice.summary)
        moving = floating(images[choice.image], choice.tags)
        if moving:
            more = f" and {len(moving) - _NAMED} more" if len(moving) > _NAMED else ""
            found.append(
                f"{choice.image}: `select` chooses {', '.join(moving[:_NAMED])}{more} beside tags with more numbers: "
                "if such a tag moves at its source, list it below `exclude` or `mutable`"
            )
    return tuple(found)
