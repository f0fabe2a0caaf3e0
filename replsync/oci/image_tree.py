"""An image with everything that it refers to, as image manifests; no blob is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor, Document, ImageIndex, ImageManifest


@dataclass(frozen=True)
class ImageTree:
    """`root` and, where it is an index, every image manifest below it by digest."""

    root: Document
    below: Mapping[Digest, Document]

    @property
    def in_push_order(self) -> tuple[tuple[Digest, Document], ...]:
        """Each document below the root once, children before the index that names them.

        The root itself is left out: it is pushed last, to the tag.
        """
        ordered: dict[Digest, Document] = {}

        def add(document: Document) -> None:
            if isinstance(document, ImageIndex):
                for child in document.manifests:
                    if child.digest not in ordered:
                        add(self.below[child.digest])
                        ordered[child.digest] = self.below[child.digest]

        add(self.root)
        return tuple(ordered.items())

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every config and layer once, in push order; below an index with the platform of the first that has it."""
        documents = [*self.in_push_order, (None, self.root)]
        platforms = {
            child.digest: child.platform
            for _, document in documents
            if isinstance(document, ImageIndex)
            for child in document.manifests
        }
        unique: dict[Digest, Descriptor] = {}
        for digest, document in documents:
            if isinstance(document, ImageManifest):
                platform = platforms.get(digest) if digest else None
                for blob in document.blobs:
                    unique.setdefault(blob.digest, replace(blob, platform=platform) if platform else blob)
        return tuple(unique.values())
