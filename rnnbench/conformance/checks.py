"""Everything that verify asks of a target, in order."""

from rnnbench.conformance.algorithm_checks import check_algorithms
from rnnbench.conformance.kernel_checks import (
    check_chunks,
    check_direction,
    check_edges,
    check_nan,
    check_options,
    check_ragged,
    check_random,
    check_reductions,
    check_scan,
    check_text,
)
from rnnbench.conformance.network_checks import check_networks

CHECKS = (
    check_random,
    check_edges,
    check_ragged,
    check_reductions,
    check_chunks,
    check_direction,
    check_text,
    check_nan,
    check_scan,
    check_options,
    check_algorithms,
    check_networks,
)
