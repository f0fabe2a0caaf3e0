"""Run one command, and tell what it took.

It runs as a script of its own, with nothing imported that it can do without: the
peak memory of a process starts at that of the process that it was forked from.

Standard input has the command as JSON: `argv`, `env`, `log` (a file for all of its
output) and `limit` in seconds, after which its process group is killed. Standard
output gets `wall` and `cpu` in seconds (user and system, all its descendants that
were waited for), `memory` in bytes (the largest process of them), and `code`, which
is null where the limit ended it. SIGTERM ends the command as its limit does.
"""

import json
import os
import signal
import sys
import time


def run(argv: list[str], env: dict[str, str], log: str, limit: float) -> dict[str, object]:
    """Run `argv` to its end or its limit."""
    stopped = False
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    start = time.monotonic()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions, setpgroup=0)

    def stop(_signum: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        os.killpg(pid, signal.SIGKILL)

    for reason in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(reason, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "code": None if stopped else os.waitstatus_to_exitcode(status),
    }


if __name__ == "__main__":
    spec = json.load(sys.stdin)
    json.dump(run(spec["argv"], spec["env"], spec["log"], spec["limit"]), sys.stdout)
