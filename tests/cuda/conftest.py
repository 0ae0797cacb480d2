"""The kernels' own tests: on a GPU where there is one, else in Numba's simulator.

The simulator must be chosen before Numba is imported (NUMBA_ENABLE_CUDASIM=1), so without either
nothing here is collected; ``tests/test_cuda_simulator.py`` then runs this folder in a process
that has the simulator.
"""

from rnnbench.cuda.jit import available

collect_ignore_glob = [] if available() else ["test_*.py"]
