"""Where a stage reads and writes, as texts of addresses: pointwise.py makes its loops of them."""

import rnnbench.cpu.table as at
from rnnbench.cpu.jit import device
from rnnbench.cpu.native import word
from rnnbench.cpu.plan import Plan, stage_outputs


@device
def stage_row(table, k):
    return table + 8 * (word(table, at.AT_STAGES) + k * at.STAGE)


@device
def source_row(table, j):
    return table + 8 * (word(table, at.AT_SOURCES) + j * at.SOURCE)


class Text:
    """The loop's text: arrays by name, each with a base a vector of units and a step a row."""

    def __init__(self):
        self.strides: list[str] = []
        self.bases: list[str] = []
        self.rows: list[str] = []

    def array(self, name: str, base: str, step: str) -> None:
        """From now on ``name`` is the address of row b's vector."""
        if not any(line.startswith(f"{name}_step") for line in self.strides):
            self.strides.append(f"{name}_step = {step}")
            self.bases.append(f"{name}0 = {base}")
            self.rows.append(f"{name} = {name}0 + b * {name}_step")

    def parts(self) -> dict[str, str]:
        return {
            name: "; ".join(getattr(self, name)) or "pass" for name in ("strides", "bases", "rows")
        }


def load(places) -> str:
    """The text of a tuple of vectors."""
    return "(" + "".join(f"fetch(kind, {p}), " for p in places) + ")"


def store(places, value: str, add: bool = False) -> str:
    """The text that stores the tuple called ``value``, or adds it to what is there."""
    added = "fetch(kind, {}) + " if add else ""
    lines = [f"put(kind, {p}, {added.format(p)}{value}[{i}])" for i, p in enumerate(places)]
    return "; ".join(lines) or "pass"


def clear(places) -> str:
    """The text that stores zeros."""
    return "; ".join(f"put(kind, {p}, nought(kind))" for p in places) or "pass"


class Stage:
    """The places that stage k of a cell reads and writes, as texts of addresses."""

    def __init__(self, plan: Plan, k: int):
        self.plan, self.k, self.spec = plan, k, plan.cell.spec
        self.stage, self.text = self.spec.stages[k], Text()
        self.products, self.states = stage_outputs(self.spec, k)

    def slots(self) -> list[str]:
        return [f"slot + {place} * Q * V" for place in self.plan.orders[self.k]]

    def source(self, j: int, shift: int = 0) -> str:
        """The state before the step (after it, where shifted) or the product."""
        row = f"source_row(table, {j})"
        step = f"word({row}, at.ROW)"
        base = f"word({row}, at.ADDRESS) + t * B * s{j}_step + u * V"
        self.text.array(f"s{j}", base, step)
        return f"s{j} + B * s{j}_step" if shift else f"s{j}"

    def previous(self) -> list[str]:
        return [self.source(self.spec.state_names.index(n)) for n in self.spec.stage_states(self.k)]

    def saved(self, saves) -> list[str]:
        """Places of (stage, save)."""
        for e in {e for e, _ in saves}:
            row = f"stage_row(table, {e})"
            base = f"word({row}, at.SAVED) + t * word({row}, at.SAVED_T)"
            base += f" + u * word({row}, at.SAVED_U)"
            self.text.array(f"k{e}", base, f"{len(self.spec.stages[e].saves)} * V")
        return [f"k{e} + {i} * V" for e, i in saves]

    def own_saves(self) -> list[tuple[int, int]]:
        return [(self.k, i) for i in range(len(self.stage.saves))]

    def given(self) -> list[str]:
        if self.stage.inputs:
            base = "word(here, at.GIVEN) + t * B * given_step + u * V"
            self.text.array("given", base, "word(here, at.GIVEN_ROW)")
        return [f"given + {i} * word(here, at.GIVEN_I)" for i in range(len(self.stage.inputs))]

    def units(self) -> list[str]:
        count = len(self.spec.unit_rows(self.k))
        return [f"word(here, at.UNITS) + (u * {count} + {i}) * V" for i in range(count)]

    def shared(self) -> dict[str, object]:
        """What the equations of both directions read, and the names of both templates."""
        return {
            "k": self.k,
            "previous": load(self.previous()),
            "unit": load(self.units()),
            "given": load(self.given()),
        }

    # -- gradients -------------------------------------------------------------------------

    def gradient(self, j: int, now: str | None) -> str:
        """That at a state, arriving (``now``) or leaving (``1 - now``); or at a product (None)."""
        row = f"source_row(table, {j})"
        name = f"d{j}" if now is None else f"d{j}_{'now' if now == 'now' else 'then'}"
        half = "" if now is None else f" + ({now}) * word({row}, at.D_STEP)"
        self.text.array(name, f"word({row}, at.D) + u * V{half}", f"word({row}, at.D_ROW)")
        return name

    def sent(self, saves) -> list[str]:
        """Places of the gradients at saves, which later stages added up."""
        for e in {e for e, _ in saves}:
            row = f"stage_row(table, {e})"
            base = f"word({row}, at.DSAVED) + u * word({row}, at.DSAVED_U)"
            self.text.array(f"q{e}", base, f"{len(self.spec.stages[e].saves)} * V")
        return [f"q{e} + {i} * V" for e, i in saves]

    def unit_gradients(self) -> list[str]:
        count = len(self.spec.unit_rows(self.k))
        if count:
            base = f"word(here, at.DUNIT) + u * B * {count} * V"
            self.text.array("dunit", base, f"{count} * V")
        return [f"dunit + {i} * V" for i in range(count)]

    def upstream(self) -> str:
        """The gradients at products and new states; at the output also the one of this step."""
        loads = [f"fetch(kind, {self.gradient(j, None)})" for j in self.products]
        for j in self.states:
            loads.append(f"fetch(kind, {self.gradient(j, 'now')})")
            if self.spec.state_names[j] == self.spec.output:
                base = "word(table, at.DY) + t * word(table, at.DY_T) + u * V"
                self.text.array("dy", base, "word(table, at.DY_ROW)")
                loads[-1] += " + fetch(kind, dy)"
        return "(" + "".join(f"{text}, " for text in loads) + ")"
