"""skopeo, of Debian."""

import json

from benchmarks.peers.peer import Form, Job, Peer, in_parallel
from benchmarks.peers.version import first_line


class Skopeo(Peer):
    """`skopeo sync` with a YAML file, and `skopeo copy` by xargs."""

    name = "skopeo"

    def version(self) -> str | None:
        """Its version."""
        return first_line("skopeo", "--version", after="version ")

    def forms(self, job: Job) -> list[Form]:
        """One copy alone, or the ways to do many."""
        folder = job.authority.parent if job.authority else None
        source = (f"--src-cert-dir={folder}",) if folder else ("--src-tls-verify=false",)
        target = (f"--dest-cert-dir={folder}",) if folder else ("--dest-tls-verify=false",)
        copy = ("skopeo", "--insecure-policy", "copy", "--quiet", "--all", *source, *target)
        pairs = [(f"docker://{before}", f"docker://{after}") for before, after in job.pairs()]
        if len(pairs) == 1:
            return [Form("skopeo copy --all", job.command(*copy, *pairs[0]))]
        listed = {job.source: {"images": job.repositories, **({} if folder else {"tls-verify": False})}}
        (job.folder / "sync.yaml").write_text(json.dumps(listed))  # JSON is YAML
        app = job.images[0].repository.partition("/")[0]
        sync = ("skopeo", "--insecure-policy", "sync", "--all", "--src", "yaml", "--dest", "docker", *source, *target)
        return [
            Form("skopeo copy --all, xargs -P 16", in_parallel(job, 16, pairs, *copy)),
            Form("skopeo copy --all, xargs -P 4", in_parallel(job, 4, pairs, *copy)),
            Form("skopeo sync --all, YAML", job.command(*sync, "sync.yaml", f"{job.target}/{app}")),
        ]
