"""Rows of the catalogue: what goes forwards only. Taxonomy: Marschall, Cho & Savin 2020,
arXiv:1907.02649."""

ANY = "any cell"
CHAINED = "; where one of a step's matrices stands behind another (gru_reset_before, rhn), "

ROWS = (
    {
        "name": "rtrl",
        "kind": "online",
        "source": "Williams & Zipser 1989, Neural Computation 1:270-280",
        "bias": "",
        "time": "T S² P, some T H⁴",
        "memory": "S P",
        "cells": ANY,
        "check": "equals backpropagation at every t with the weights held still",
        "about": "Real-time recurrent learning. The influence ∂s_t/∂θ of every parameter on every "
        "state, S × P numbers, is carried forwards: new = J_t · old + the step's own derivative. "
        "The gradient of any loss is there at once, no past is stored and T may be endless. Exact "
        "where the weights stand still; too dear for all but small networks.",
        "path": "rnnbench.gradients.online.RTRL",
    },
    {
        "name": "hybrid",
        "kind": "online",
        "source": "Schmidhuber 1992, Neural Computation 4:243-248",
        "bias": "",
        "time": "T S b + T S² P / k, some T H³ for k of some H",
        "memory": "S P + k A",
        "cells": ANY,
        "check": "equals backpropagation for any length of block",
        "about": "Backpropagation inside blocks of k steps, the influence of RTRL between them. At "
        "a block's end each state number is sent back through the block, which gives the block's "
        "Jacobian and its own influence; one matrix product then brings the old influence up to "
        "date. RTRL's gradient and memory, in H³ in place of H⁴ a step.",
        "path": "rnnbench.gradients.hybrid.hybrid",
    },
    {
        "name": "uoro",
        "kind": "online",
        "source": "Tallec & Ollivier 2017, arXiv:1702.05043, algorithm 1",
        "bias": "none on average, noise instead",
        "time": "O(T P)",
        "memory": "S + P",
        "cells": ANY + CHAINED + "a step costs H³",
        "check": "the mean over all vectors of signs is RTRL",
        "about": "Unbiased online recurrent optimisation. The influence is replaced by a product "
        "of two vectors s̃ θ̃ᵀ, renewed at each step with random signs such that its mean stays the "
        "influence; scales ρ balance the two for the least variance. As cheap as running the "
        "network forwards a few times, and noisy: the noise grows with the size of the state.",
        "path": "rnnbench.gradients.online.UORO",
    },
    {
        "name": "kf_rtrl",
        "kind": "online",
        "source": "Mujika, Meier & Steger 2018, arXiv:1805.10842, algorithm 1",
        "bias": "none on average, noise instead",
        "time": "O(T H³)",
        "memory": "O(H²)",
        "cells": ANY,
        "check": "the mean over all signs is RTRL; the variance is below UORO's on a fixed case",
        "about": "The influence is kept as one Kronecker product u ⊗ A of a vector of inputs and "
        "a matrix, H × H. A step's own derivative has that form exactly; the sum of two is brought "
        "back to one by random signs, as in UORO. Less noise than UORO by a factor that grows "
        "with H, for a matrix product J A each step.",
        "path": "rnnbench.gradients.online.KFRTRL",
    },
    {
        "name": "ok",
        "kind": "online",
        "source": "Benzing et al. 2019, arXiv:1902.03993, algorithms 1 and 2",
        "bias": "none on average, the least noise for its rank",
        "time": "O(T r H³)",
        "memory": "O(r H²)",
        "cells": ANY,
        "check": "the mean over all draws is RTRL; the variance is not above KF-RTRL's",
        "about": "Optimal Kronecker-sum approximation: r products in place of one. The r + 1 terms "
        "after a step are brought back to r by the unbiased low-rank approximation of least "
        "variance there is: large singular values are kept, small ones mixed with random signs.",
        "path": "rnnbench.gradients.online.OK",
    },
    {
        "name": "snap",
        "kind": "online",
        "source": "Menick et al. 2021, arXiv:2006.07232, section 3",
        "bias": "drops influences that take more than n steps to arise",
        "time": "O(T P) for n = 1; from n = 2 on as RTRL where R is dense",
        "memory": "O(P) for n = 1; else what is kept",
        "cells": ANY + CHAINED + "n = 1 costs O(T H P) and O(H P)",
        "check": "n = 1 is RTRL for a diagonal recurrence; n at least the graph's diameter is RTRL",
        "about": "Sparse n-step approximation. Of the influence only those entries are kept that "
        "are nonzero within n steps of a parameter's use; the others are set to zero after every "
        "step. With n = 1 a parameter influences the one unit it feeds. Biased but free of noise, "
        "and at its best in sparse networks, where few entries are dropped.",
        "path": "rnnbench.gradients.online.SnAp",
    },
    {
        "name": "e_prop",
        "kind": "online",
        "source": "Bellec et al. 2020, Nature Communications 11:3625, eqs. 3-4",
        "bias": "no gradient flows through R from unit to unit between steps",
        "time": "O(T P)",
        "memory": "O(P)",
        "cells": ANY + CHAINED + "it costs O(T H P) and O(H P)",
        "check": "exact where the recurrent Jacobian is diagonal; else the gradient with a stopped "
        "gradient at the h that R reads",
        "about": "Each connection carries an eligibility trace: how it has influenced its own "
        "unit, through that unit's own memory alone. The gradient is the trace times a learning "
        "signal, the loss's gradient at the unit's output now. The ways from unit to unit through "
        "R are left out, which makes the rule local, and plausible for a brain.",
        "path": "rnnbench.gradients.online.EProp",
    },
    {
        "name": "rflo",
        "kind": "online",
        "source": "Murray 2019, eLife 8:e43299, eqs. 3-5",
        "bias": "as e_prop; and with random feedback a random signal",
        "time": "O(T P)",
        "memory": "O(P)",
        "cells": ANY + ", costs as of e_prop; the paper's are leaky, h' = (1 − α) h + α φ(…)",
        "check": "without random feedback it is e_prop; with it, e_prop of the signal it sends",
        "about": "Random feedback local online learning: for leaky units the trace is a low-pass "
        "filter of input times slope, p ← (1 − α) p + α φ'(a) x. Errors reach the units through "
        "fixed random weights in the paper, in place of the head's own transposed.",
        "path": "rnnbench.gradients.online.RFLO",
    },
    {
        "name": "forward_gradient",
        "kind": "online",
        "source": "Baydin et al. 2022, arXiv:2202.08587, eqs. 1-2",
        "bias": "none on average, noise that grows with P",
        "time": "O(T P)",
        "memory": "S + P",
        "cells": ANY + CHAINED + "a step costs H³",
        "check": "the mean over all vectors of signs is the full gradient",
        "about": "One random direction v in the space of parameters is carried along in forward "
        "mode; the loss's derivative along it is a number d, and d v is an unbiased estimate of "
        "the gradient, for E[v vᵀ] = 1. No pass back, no tape; but of P numbers one is learned, "
        "and the variance is P − 1 times the squared gradient.",
        "path": "rnnbench.gradients.online.ForwardGradient",
    },
)
