"""regctl and regsync, of regclient."""

import json

from benchmarks.peers.peer import Form, Job, Peer, in_parallel
from benchmarks.peers.version import first_line

_PARALLEL = (4, 32)


class Regctl(Peer):
    """`regctl image copy` by xargs."""

    name = "regctl"

    def version(self) -> str | None:
        """Its version."""
        return first_line("regctl", "version", after="VCSTag:")

    def forms(self, job: Job) -> list[Form]:
        """One copy alone, or the ways to do many."""
        tls = "enabled" if job.authority else "disabled"
        hosts = [word for host in (job.source, job.target) for word in ("--host", f"reg={host},tls={tls}")]
        copy = ("regctl", *hosts, "image", "copy")
        pairs = job.pairs()
        if len(pairs) == 1:
            return [Form("regctl image copy", job.command(*copy, *pairs[0]))]
        return [
            Form("regctl image copy, xargs -P 16", in_parallel(job, 16, pairs, *copy)),
            Form("regctl image copy, xargs -P 4", in_parallel(job, 4, pairs, *copy)),
        ]


class Regsync(Peer):
    """`regsync once` with a YAML file that lists repositories or images."""

    name = "regsync"

    def version(self) -> str | None:
        """Its version."""
        return first_line("regsync", "version", after="VCSTag:")

    def forms(self, job: Job) -> list[Form]:
        """By repository and by image, with some parallelism and with much."""
        return [
            self._form(job, parallel, kind)
            for parallel in reversed(_PARALLEL)
            for kind in ("repository", "image")[: 2 if len(job.images) > 1 else 1]
        ]

    def _form(self, job: Job, parallel: int, kind: str) -> Form:
        if kind == "repository":
            names = [(f"{job.source}/{name}", f"{job.target}/{name}") for name in job.repositories]
        else:
            names = job.pairs()
        host = {"tls": "enabled" if job.authority else "disabled", "reqConcurrent": parallel}
        config = {
            "version": 1,
            "creds": [{"registry": job.source, **host}, {"registry": job.target, **host}],
            "defaults": {"parallel": parallel},
            "sync": [{"source": source, "target": target, "type": kind} for source, target in names],
        }
        file = f"{kind}-{parallel}.yaml"
        (job.folder / file).write_text(json.dumps(config))  # JSON is YAML
        return Form(f"regsync once, {parallel} in parallel, by {kind}", job.command("regsync", "once", "-c", file))
