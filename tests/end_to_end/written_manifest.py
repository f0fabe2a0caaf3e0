"""The manifest that a model stands for: written in either style, and read back by another reader than replsync's."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.end_to_end.model import Entry, From, Moving, Name, Pinned, Retired, Whatever

MOVING = "moving"


@dataclass(frozen=True)
class WrittenManifest:
    """`digests` are those of the images, by letter. The images `worker` and `api` come from APP/upstream."""

    registry: str
    app: str
    digests: Mapping[str, str]
    in_block_style: bool = True

    def write(self, path: Path, listed: Mapping[Name, Entry], mutable: Collection[str]) -> None:
        """Write it, as YAML in block style, or as JSON."""

        def image(name: str, **source: str) -> dict[str, Any]:
            own = {tag: entry for (owner, tag), entry in listed.items() if owner == name}
            tags = [self._entry(tag, entry) for tag, entry in own.items() if not isinstance(entry, Retired)]
            retired = [{"tag": tag, "reason": entry.reason} for tag, entry in own.items() if isinstance(entry, Retired)]
            lists = {"mutable": sorted(mutable), "tags": tags, "retired": retired}
            return {"name": name, **source, **{key: some for key, some in lists.items() if some}}

        images = [image("worker", source=self._upstream("")), image("api")]
        content = {"version": 1, "app": self.app, "registry": self.registry, "images": images}
        with path.open("w") as file:
            if self.in_block_style:
                YAML().dump(content, file)
            else:
                json.dump(content, file)

    def read(self, path: Path) -> dict[Name, Entry]:
        """What it says, every scalar read as text."""
        content = YAML(typ="base").load(path)
        found: dict[Name, Entry] = {}
        for image in content["images"]:
            for item in image.get("tags", []):
                entry = {"tag": item} if isinstance(item, str) else item
                found[image["name"], entry["tag"]] = self._read_entry(entry)
            for item in image.get("retired", []):
                found[image["name"], item["tag"]] = Retired(item["reason"])
        return found

    def _entry(self, tag: str, entry: Entry) -> str | dict[str, str]:
        match entry:
            case From(letter):
                return {"tag": tag, "source": self._upstream(f":{letter}")}
            case Moving():
                return {"tag": tag, "source": self._upstream(f":{MOVING}")}
            case Pinned(letter):
                return {"tag": tag, "digest": self.digests[letter]}
            case _:
                return tag

    def _read_entry(self, entry: Mapping[str, str]) -> Entry:
        if "digest" in entry:
            return Pinned({digest: letter for letter, digest in self.digests.items()}[entry["digest"]])
        source = entry.get("source", "").removeprefix(self._upstream(":"))
        if source == MOVING:
            return Moving()
        return From(source) if source else Whatever()

    def _upstream(self, tag: str) -> str:
        return f"{self.registry}/{self.app}/upstream{tag}"
