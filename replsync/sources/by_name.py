"""The choice of a source by its name."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from replsync.oci.build_source import BuildSource
from replsync.oci.recipe import AS_IT_IS, Recipe, Transforms
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource
from replsync.registry.client import RegistryClient
from replsync.sources.archive import Archive
from replsync.sources.image_source import ImageSource
from replsync.sources.layout_folder import LayoutFolder
from replsync.sources.registry_image import RegistryImage

if TYPE_CHECKING:
    from replsync.sources.built_image import BuiltImage
    from replsync.sources.daemon_image import DaemonImage
    from replsync.sources.limited_image import Turn


class Sources:
    """Makes sources from recipes; the same object for the same recipe, since it remembers what it has read."""

    def __init__(self, client: RegistryClient, say: Callable[[str], None] = lambda _: None) -> None:
        """`say` is told what builders say, line by line."""
        self._client = client
        self._say = say
        self._made: dict[Recipe, ImageSource] = {}
        self._archives: dict[str, Archive] = {}
        self._turn: Turn | None = None

    def of(self, recipe: Recipe) -> ImageSource:
        """Return the source of this name. Nothing is contacted yet."""
        if recipe not in self._made:
            self._made[recipe] = self._make(recipe)
        return self._made[recipe]

    def daemon(self, name: DaemonSource, transforms: Transforms = AS_IT_IS) -> "DaemonImage":
        """Return the daemon's image of this name; no layer of it is split."""
        from replsync.sources.daemon_image import DaemonImage

        made = self.of(Recipe(name, transforms.without_limit))
        if not isinstance(made, DaemonImage):
            raise AssertionError("a daemon source makes a daemon image")
        return made

    def built(self, recipe: Recipe) -> "BuiltImage":
        """Return the image that is built by this recipe."""
        from replsync.sources.built_image import BuiltImage

        made = self.of(recipe)
        if not isinstance(made, BuiltImage):
            raise AssertionError("a build makes a built image")
        return made

    def _archive(self, path: str) -> Archive:
        """The archive at `path`, of which the members are listed once for all its images."""
        return self._archives.setdefault(path, Archive(path))

    def _make(self, recipe: Recipe) -> ImageSource:
        if recipe.transforms.is_limited:
            from replsync.sources.limited_image import LimitedImage, Turn

            self._turn = self._turn or Turn()
            source = self.of(replace(recipe, transforms=recipe.transforms.without_limit))
            return LimitedImage(source, recipe.source, recipe.transforms, self._turn)
        match recipe.source:
            case RegistrySource() as name:
                return RegistryImage(self._client, name, recipe.transforms)
            case DaemonSource() as name:
                from replsync.sources.daemon_image import DaemonImage

                return DaemonImage(name, recipe.transforms)
            case BuildSource() as name:
                from replsync.sources.built_image import BuiltImage

                return BuiltImage(name, self._say)
            case LayoutSource(path) as name:
                from replsync.sources.layout_image import LayoutImage

                files = self._archive(path) if name.is_archive else LayoutFolder(path)
                return LayoutImage(files, name, recipe.transforms)
            case SavedSource(path) as name:
                from replsync.sources.saved_image import SavedFileImage

                return SavedFileImage(self._archive(path), name, recipe.transforms)
            case _:
                assert_never(recipe.source)
