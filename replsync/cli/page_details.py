"""What a page tells of a plan's tags beyond the plan itself, gathered."""

from pathlib import Path

from replsync.cli.history import recorded_in
from replsync.cli.journals import journal_folder
from replsync.plan.document import Plan
from replsync.render.details import Details
from replsync.survey.layers import Layers


def details_of(plan: Plan, layers: Layers | None = None) -> Details:
    """Return `layers`, where they were asked for, with what the journals beside the plan's manifests have."""
    folders = dict.fromkeys(journal_folder(Path(manifest.path)) for manifest in plan.manifests)
    return Details(layers, recorded_in(folders))
