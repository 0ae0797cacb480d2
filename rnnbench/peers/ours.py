"""Our own kernels on the CPU."""

from rnnbench.peers.workload import TRAIN, Workload, named


def version() -> str:
    import rnnbench

    return rnnbench.__version__


def offers(cell: str, direction: str) -> bool:
    return True


def prepare(workload: Workload, threads: int | None):
    """Compiles nothing by itself: the first run does, or loads from the disk cache.

    Forward is what a user runs who wants outputs alone: the weights are laid out in advance (as
    ONNX Runtime and OpenVINO do when they load a model) and no tape is kept. A training step lays
    them out anew each time, for they change.
    """
    from rnnbench.target import get_target

    target, case = get_target("cpu", threads=threads), workload.case()

    ready = target.prepare(case.cell, case.params)
    arguments = case.forward_arguments()

    def forward():
        return (target.forward(arguments[0], ready, *arguments[2:], tape=False),)

    def train():
        run = target.forward(*arguments)
        return run, target.backward(run.tape, case.dy)

    return (train if workload.direction == TRAIN else forward), lambda result: named(*result)
