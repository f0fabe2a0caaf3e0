"""The choice of a source by its name."""

from typing import TYPE_CHECKING, assert_never

from replsync.oci.source_name import DaemonSource, RegistrySource, SourceName
from replsync.registry.client import RegistryClient
from replsync.sources.image_source import ImageSource
from replsync.sources.registry_image import RegistryImage

if TYPE_CHECKING:
    from replsync.sources.daemon_image import DaemonImage


class Sources:
    """Makes sources from their names; the same object for the same name, since it remembers what it has read."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._made: dict[SourceName, ImageSource] = {}

    def of(self, name: SourceName) -> ImageSource:
        """Return the source of this name. Nothing is contacted yet."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def daemon(self, name: DaemonSource) -> "DaemonImage":
        """Return the daemon's image of this name."""
        from replsync.sources.daemon_image import DaemonImage

        made = self._made.setdefault(name, DaemonImage(name))
        if not isinstance(made, DaemonImage):
            raise AssertionError("a daemon source makes a daemon image")
        return made

    def _make(self, name: SourceName) -> ImageSource:
        match name:
            case RegistrySource():
                return RegistryImage(self._client, name)
            case DaemonSource():
                return self.daemon(name)
            case _:
                assert_never(name)
