"""Who may import whom, and what the package needs: read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnnbench
import rnnbench_reference

PACKAGE = Path(rnnbench.__file__).parent
REFERENCE = Path(rnnbench_reference.__file__).parent
PEERS = {"torch", "onnxruntime", "onnx", "jax", "tensorflow", "keras", "openvino", "flax"}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Names a file imports: ``a.b`` for ``import a.b`` and ``a.b.c`` for ``from a.b import c``.

    A relative import stays inside its package and is left out.
    """
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def under(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def violations(files, forbidden) -> list[str]:
    return [
        f"{path.name}: {name}"
        for path in files
        for name in imports(path)
        if forbidden(name)
    ]  # fmt: skip


def starts(*prefixes):
    return lambda name: any(name == p or name.startswith(f"{p}.") for p in prefixes)


def test_reference_imports_numpy_and_itself():
    allowed = starts("numpy", "rnnbench_reference", *sys.stdlib_module_names)
    assert not violations(under(REFERENCE), lambda name: not allowed(name))


def test_equations_import_spec_and_functions_only():
    """NumPy is for what stays outside the kernels: transforms, draws of inputs."""
    own = ("rnnbench.spec", "rnnbench.options", "rnnbench.equations")
    allowed = starts(*own, "numpy", *sys.stdlib_module_names)
    assert not violations(under(PACKAGE / "equations"), lambda name: not allowed(name))


def test_targets_never_import_each_other():
    assert not violations(under(PACKAGE / "cpu"), starts("rnnbench.cuda", "rnnbench_reference"))
    assert not violations(under(PACKAGE / "cuda"), starts("rnnbench.cpu", "rnnbench_reference"))


@pytest.mark.parametrize("folder", ["gradients", "layers"])
def test_gradients_and_layers_receive_a_target(folder):
    forbidden = starts("rnnbench.cpu", "rnnbench.cuda", "rnnbench_reference", "rnnbench.target")
    assert not violations(under(PACKAGE / folder), forbidden)


def test_nothing_imports_tests_or_benchmarks():
    assert not violations(under(PACKAGE) + under(REFERENCE), starts("tests", "benchmarks"))


def test_peers_are_imported_lazily_and_by_adapters_only():
    for path in under(PACKAGE):
        assert not {n.split(".")[0] for n in imports(path, top_level_only=True)} & PEERS, path
        if path.parent.name not in ("adapters", "peers"):
            assert not {n.split(".")[0] for n in imports(path)} & PEERS, path


def test_no_driver_names_a_cell():
    """Cells are named in the equations, the reference and other frameworks' adapters only, and
    in the list of the networks that have golden cases."""
    names = set(rnnbench.cell_names())
    for path in under(PACKAGE):
        if path.parent.name in ("equations", "adapters", "peers"):
            continue
        if path.name == "network_problems.py":
            continue
        tree = ast.parse(path.read_text())
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        strings = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
        }
        assert not strings & names, f"{path} names {strings & names}"


def test_the_checks_would_see_a_violation(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("import torch\nfrom rnnbench.cuda import target\n")
    assert violations([bad], starts("rnnbench.cuda"))
    assert {n.split(".")[0] for n in imports(bad, top_level_only=True)} & PEERS


def test_import_is_light():
    """No Numba, no SciPy, no peers: those come when a target is asked for."""
    script = (
        "import sys, rnnbench; rnnbench.cell_names()\n"
        "print([m for m in ('numba','scipy','flint','torch','rich') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_files_stay_short():
    long = [p for p in under(PACKAGE) + under(REFERENCE) if len(p.read_text().splitlines()) > 300]
    assert not long
