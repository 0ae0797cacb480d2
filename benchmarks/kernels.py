"""asv benchmarks of the CPU kernels, forward and train (forward, then all gradients)."""

import time

from rnnbench.peers import sgemm
from rnnbench.peers.timing import PAUSE, median_seconds
from rnnbench.peers.workload import DIRECTIONS

from . import common


class _Checked:
    """setup_cache runs once a commit, in a process of its own: it compiles every kernel to the
    disk cache and checks it against the reference. So no compilation is timed, nothing is timed
    that is wrong, and the peak memory holds neither the compiler's work nor the reference's."""

    cell: str
    param_names = ("shape", "direction")
    timeout = 300

    def setup_cache(self):
        return common.check_all()

    setup_cache.timeout = 3600

    def check(self, checked, shape):
        wrong = checked[common.key(self.cell, shape)]
        if wrong:
            raise RuntimeError(f"{self.cell} at {shape} is not timed: {wrong}")


class _Kernel(_Checked):
    """Our kernels by themselves."""

    repeat = (3, 10, 4.0)  # samples at least, at most, seconds

    def setup(self, checked, shape, direction):
        if hasattr(self, "run"):  # asv comes here before every sample
            return
        self.check(checked, shape)
        self.run, _ = common.prepare(self.cell, shape, direction)
        self.run()  # loads the kernels from the disk cache

    def time_kernel(self, checked, shape, direction):
        self.run()


class _EveryCell(_Kernel):
    """All cells at one shape."""

    params = (common.every_cell()[1], DIRECTIONS)

    def track_reference_speedup(self, checked, shape, direction):
        slow = median_seconds(common.reference(self.cell, shape, direction))
        time.sleep(PAUSE)  # the reference's BLAS has threads that spin on
        return common.digits(slow / median_seconds(self.run))

    track_reference_speedup.unit = "times as fast as the reference"


class _EveryShape(_Kernel):
    """The first cell of each family that another library has (RNNBENCH_PROFILE=full: every cell)
    at all small shapes."""

    params = (common.every_shape()[1], DIRECTIONS)

    def peakmem_kernel(self, checked, shape, direction):
        self.run()

    def track_sgemm_share(self, checked, shape, direction):
        product = sgemm.rate(median_seconds(sgemm.prepare(threads=None)[0]))
        time.sleep(PAUSE)
        flops = common.workload(self.cell, shape, direction).flops()
        return common.digits(flops / median_seconds(self.run) / 1e9 / product)

    track_sgemm_share.unit = "share of the SGEMM rate in the same process"


class _EveryPeer(_Checked):
    """Against the fastest library that is installed beside asv's environment, where there is one;
    each in a process of its own, as ``rnnbench compare`` does it."""

    params = (common.every_shape()[1], DIRECTIONS)

    def setup(self, checked, shape, direction):
        if not common.others():
            raise NotImplementedError("no other library is installed")  # asv: skipped
        self.check(checked, shape)

    def track_peer_speedup(self, checked, shape, direction):
        return common.digits(common.peer_speedup(self.cell, shape, direction))

    track_peer_speedup.unit = "times as fast as the fastest other library"


# A class a cell: were the cell a parameter, asv would run it by its place in the list, and at a
# commit with fewer cells that place is another cell's.
for _kind, _cells in (
    (_EveryCell, common.every_cell()[0]),
    (_EveryShape, common.every_shape()[0]),
    (_EveryPeer, common.every_shape()[0]),
):
    for _cell in _cells:
        _name = f"{_kind.__name__[1:]}_{_cell}"
        globals()[_name] = type(_name, (_kind,), {"cell": _cell, "__module__": __name__})
