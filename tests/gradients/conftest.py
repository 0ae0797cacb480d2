"""A target that counts, for tests of what schedules cost.

The fixture returns the class, so that no test file needs to import another one.
"""

import weakref

import pytest


class Held:
    """A tape, and how many steps are on it."""

    def __init__(self, tape, steps: int):
        self.tape, self.steps = tape, steps


class Counting:
    """A target in front of another that notes the steps run, and the steps on tapes that live."""

    def __init__(self, target):
        self.target, self.name, self.dtypes = target, f"counting {target.name}", target.dtypes
        self.matmul = target.matmul
        self.alive = weakref.WeakSet()
        self.forward_steps, self.backward_steps, self.most_taped = [], [], 0

    def forward(self, cell, params, x, state=None, lengths=None, inputs=None, tape=True):
        found = self.target.forward(cell, params, x, state, lengths, inputs, tape)
        self.forward_steps.append(len(x))
        if not tape:
            return found
        held = Held(found.tape, len(x))
        self.alive.add(held)
        self.most_taped = max(self.most_taped, sum(one.steps for one in self.alive))
        return found._replace(tape=held)

    def backward(self, held, dy=None, dstate=None):
        self.backward_steps.append(held.steps)
        return self.target.backward(held.tape, dy, dstate)


@pytest.fixture
def counting():
    return Counting
