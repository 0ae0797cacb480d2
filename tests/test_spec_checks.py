"""A spec that does not hang together is refused when it is made."""

import dataclasses

import pytest

from rnnbench.cells import get_cell

BREAKS = {
    "unknown slot": lambda s: dataclasses.replace(s.stages[0], slots=("i", "f", "g")),
    "written exactly once": lambda s: dataclasses.replace(s.stages[0], states=("h",)),
    "unused parameter": lambda s: dataclasses.replace(s.stages[0], terms=s.stages[0].terms[:2]),
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_spec_that_does_not_hang_together_is_refused(message):
    s = get_cell("lstm").spec
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(s, stages=(BREAKS[message](s),))
