"""crane, of go-containerregistry."""

from benchmarks.peers.peer import Form, Job, Peer, in_parallel
from benchmarks.peers.version import first_line


class Crane(Peer):
    """`crane copy` by xargs, tag by tag or repository by repository."""

    name = "crane"

    def version(self) -> str | None:
        """Its version."""
        return first_line("crane", "version")

    def forms(self, job: Job) -> list[Form]:
        """One copy alone, or the ways to do many."""
        copy = ("crane", "copy", *(() if job.authority else ("--insecure",)))
        pairs = job.pairs()
        if len(pairs) == 1:
            return [Form("crane copy", job.command(*copy, *pairs[0]))]
        whole = [(f"{job.source}/{name}", f"{job.target}/{name}") for name in job.repositories]
        return [
            Form(
                "crane copy --all-tags --jobs 8, xargs -P 4",
                in_parallel(job, 4, whole, *copy, "--all-tags", "--jobs", "8"),
            ),
            Form(
                "crane copy --all-tags --jobs 16, xargs -P 16",
                in_parallel(job, 16, whole, *copy, "--all-tags", "--jobs", "16"),
            ),
            Form("crane copy, xargs -P 16", in_parallel(job, 16, pairs, *copy)),
            Form("crane copy, xargs -P 4", in_parallel(job, 4, pairs, *copy)),
        ]
