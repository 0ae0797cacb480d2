"""A peer in a process of its own, spawned once, driven through a pipe.

Spawned and not forked: a fork would hand over this process's thread pools half alive. The number
of threads goes into the environment that libraries read when they are loaded, and into the
peers' own options.
"""

import importlib
import multiprocessing
import os
from contextlib import contextmanager

from rnnbench.peers.workload import Workload

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PJRT_NPROC",  # JAX: the size of its pool of threads
    "NPROC",  # its older name
)


class PeerError(Exception):
    """The peer raised, or its process ended; one line."""


class PeerProcess:
    """``prepare(workload)`` returns the peer's arrays, ``time()`` the seconds of a call;
    ``memory(workload)``, to be asked once and alone, what ``memory.py`` says.

    The process starts with the first question, and anew if it ended (killed for its memory, say);
    then it must be prepared again. module: a peer's, or that of ``rnnbench.peers.sgemm``, which is
    prepared with None and returns whose product it times.
    """

    def __init__(self, module: str, threads: int):
        self.module, self.threads = module, threads
        self.process = None

    def prepare(self, workload: Workload | None) -> dict | str:
        return self._ask("prepare", workload)

    def time(self) -> float:
        return self._ask("time", None)

    def memory(self, workload: Workload) -> dict[str, int] | None:
        return self._ask("memory", workload)

    def close(self) -> None:
        if self.process is not None:
            self.pipe.close()
            self.process.join(timeout=5)
            self.process.kill()
            self.process.join()
            self.process = None

    def _ask(self, question, value):
        if self.process is None:
            self._start()
        try:
            self.pipe.send((question, value))
            good, answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join(timeout=5)
            code = self.process.exitcode
            self.close()
            raise PeerError(f"its process ended with exit code {code}") from error
        if not good:
            raise PeerError(answer)
        return answer

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        with _environment(dict.fromkeys(VARIABLES, str(self.threads))):
            self.process = context.Process(
                target=serve, args=(other, self.module, self.threads), daemon=True
            )
            self.process.start()
        other.close()


@contextmanager
def _environment(values: dict[str, str]):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def serve(pipe, module_name: str, threads: int) -> None:
    """The peer's side: answer until the pipe closes."""
    from rnnbench.peers.memory import memory
    from rnnbench.peers.timing import median_seconds

    module, run = None, None
    while True:
        try:
            question, value = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            module = module or importlib.import_module(module_name)
            if question == "time":
                answer = median_seconds(run)
            elif question == "memory":
                answer = memory(module.prepare, value, threads)
            elif value is None:
                run, answer = module.prepare(threads)
            else:
                run = None  # the last workload's arrays go first
                run, arrays = module.prepare(value, threads)
                answer = arrays(run())
        except KeyboardInterrupt:
            return
        except Exception as error:
            reason = " ".join(str(error).split())
            pipe.send((False, f"{type(error).__name__}: {reason}"))
        else:
            pipe.send((True, answer))
