"""What a target says about the steps of a tape beside their values: the local slopes of the maths.

With them, and with the matrices that the terms multiply by, every derivative of a step is known:
what forward-mode and online gradient algorithms need (``rnnbench/gradients/online``).
"""

from dataclasses import dataclass

import numpy as np

from rnnbench.errors import InputError
from rnnbench.problem import Problem
from rnnbench.spec import CellSpec


@dataclass(frozen=True)
class Linearised:
    """The steps of a tape, linear around the values they had.

    problem: the call, its parameters being those that the steps use (transforms applied).
    slopes: a stage each, (outputs, inputs, T, B, width): the derivative of unit u of an output
    with respect to unit u of an input, all other inputs of the stage's maths held. Outputs as
    ``outputs`` lists them; inputs are the stage's slots, the previous states it reads
    (``spec.stage_states``), the earlier saves (``spec.earlier_saves``) and its per-unit values
    (``spec.unit_rows``), in this order.
    sources: what the matrices multiplied, by the names of ``matrix_sources``, each (T, B, width).
    Past a sequence's end slopes and sources may hold anything.
    """

    problem: Problem
    slopes: tuple[np.ndarray, ...]
    sources: dict[str, np.ndarray]


def outputs(spec: CellSpec, k: int) -> list[str | tuple[int, int]]:
    """Stage k's products and new states (``"h'"``) by name, then its saves as (k, index).

    Saves only where a later stage reads them: what else is kept for backward has no slope.
    """
    stage = spec.stages[k]
    names = [*stage.products, *(f"{name}'" for name in stage.states)]
    read = any(later.width == stage.width for later in spec.stages[k + 1 :])
    return names + [(k, i) for i in range(len(stage.saves) if read else 0)]


def matrix_sources(spec: CellSpec) -> list[str]:
    """The sources that any matrix multiplies, each once, in the order of the terms."""
    terms = [term for stage in spec.stages for term in stage.terms]
    return list(dict.fromkeys(t.source for t in terms if t.parameter and t.source))


def linearise(target, tape) -> Linearised:
    """``target.linearise(tape)``; InputError, naming the target, for one that can't."""
    method = getattr(target, "linearise", None)
    if method is None:
        raise InputError(f"target {target.name} gives no slopes of its steps (linearise)")
    return method(tape)
