"""asv benchmarks of the ways of taking a gradient: full against checkpointed backpropagation, in
time and peak memory; RTRL's growth with H; a scan against the loop; layers against their parts."""

from rnnbench.peers import ways
from rnnbench.peers.timing import median_seconds
from rnnbench.peers.ways import Way
from rnnbench.peers.ways_figure import GROUPS, LINEAR, disagreement
from rnnbench.shapes import Shape, get_shape

from . import common

CELL = "lstm"
# A profile's tiny shapes take the place of these.
SHAPES = {
    "checkpointing": ("T20000B8H128",),
    "online": ("T20B1H8", "T20B1H16", "T20B1H32"),
    "scan": ("T100B4H64", "T1000B4H64", "T10000B4H64"),
    "stacked": ("T50B32H128",),
    "bidirectional": ("T50B32H128",),
}


def shapes(group: str) -> tuple[str, ...]:
    return ("T9B2H4",) if common.is_tiny() else SHAPES[group]


def prepared(way: str, group: str, shape: Shape):
    """The way and its call, once it agrees with the plain one."""
    cell = LINEAR if group == "scan" else CELL
    plain, own = (Way.of(cell, shape, name) for name in (GROUPS[group].plain, way))
    (expected, _), (run, _) = (ways.prepare(one, None) for one in (plain, own))
    wrong = disagreement(own, run(), expected())
    if wrong:
        raise RuntimeError(f"{way} at {shape.name} is not timed: {wrong}")
    return run, expected


class _Group:
    """All ways of a group, at its shapes."""

    group: str
    param_names = ("shape", "way")
    timeout = 600


class _Timed(_Group):
    repeat = (1, 5, 10.0)  # samples at least, at most, seconds

    def setup(self, shape, way):
        if not hasattr(self, "run"):  # asv comes here before every sample
            self.run, self.plain = prepared(way, self.group, get_shape(shape))

    def time_way(self, shape, way):
        self.run()

    def track_ratio(self, shape, way):
        return common.digits(median_seconds(self.run) / median_seconds(self.plain))

    track_ratio.unit = "times the plain way's time"


class _Memory(_Group):
    """What a way holds at most; the plain one does not run in the same process."""

    def setup(self, shape, way):
        cell = LINEAR if self.group == "scan" else CELL
        self.run, _ = ways.prepare(Way.of(cell, get_shape(shape), way), None)

    def peakmem_way(self, shape, way):
        self.run()


for _group, _ways in GROUPS.items():
    _params = (shapes(_group), (_ways.plain, *_ways.others))
    for _kind in (_Timed, _Memory):
        _name = f"{_group.capitalize()}{_kind.__name__[1:]}"
        _own = {"group": _group, "params": _params, "__module__": __name__}
        globals()[_name] = type(_name, (_kind,), _own)
