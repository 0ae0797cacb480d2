"""Online gradients: an algorithm goes forwards with the states, and gives at every step the
gradient of that step's loss, in memory that does not grow with the sequence.

Taxonomy: Marschall, Cho & Savin, JMLR 21 (2020), arXiv:1907.02649. One file a family; the driver,
in ``driver.py``, knows neither the algorithm nor the cell nor the target.
"""

from rnnbench.gradients.online.algorithm import Algorithm
from rnnbench.gradients.online.driver import (
    ALGORITHMS,
    Online,
    OnlineGradients,
    OnlineRun,
    get_algorithm,
    run,
)
from rnnbench.gradients.online.eligibility import RFLO, EProp
from rnnbench.gradients.online.forward_gradient import ForwardGradient
from rnnbench.gradients.online.kronecker import KFRTRL, OK
from rnnbench.gradients.online.rtrl import RTRL
from rnnbench.gradients.online.snap import SnAp
from rnnbench.gradients.online.uoro import UORO

__all__ = [
    "ALGORITHMS",
    "KFRTRL",
    "OK",
    "RFLO",
    "RTRL",
    "UORO",
    "Algorithm",
    "EProp",
    "ForwardGradient",
    "Online",
    "OnlineGradients",
    "OnlineRun",
    "SnAp",
    "get_algorithm",
    "run",
]
