"""Rows of the catalogue: what runs forwards and back, scans, reversible layers, clipping."""

ANY = "any cell"

ROWS = (
    {
        "name": "full",
        "kind": "schedule",
        "source": "Werbos 1990, Proc. IEEE 78:1550-1560",
        "bias": "",
        "time": "T (f + b)",
        "memory": "T A",
        "cells": ANY,
        "check": "finite differences and the complex step on the reference; the gradient of a sum "
        "of losses is the sum of their gradients",
        "about": "Backpropagation through time. The cell runs over the whole sequence and keeps "
        "what each step's derivative needs; then the gradient at the states goes back from the "
        "last step to the first, and every step adds its share to the parameters' gradient. "
        "Nothing is cut, so the memory grows with T, and the first update waits for the last step.",
        "path": "rnnbench.gradients.schedule.full",
    },
    {
        "name": "truncated",
        "kind": "schedule",
        "source": "Williams & Peng 1990, Neural Computation 2:490-501, BPTT(h; h')",
        "bias": "no gradient flows further back than k2 steps",
        "time": "T f + (T/k1) k2 b",
        "memory": "k2 A",
        "cells": ANY,
        "check": "k2 ≥ T in one window is full; k1 = 1 is the sum over t of the gradient of loss t "
        "with the state at t − k2 taken as a constant; a loss sends exactly 0 beyond its window",
        "about": "Every k1 steps the losses of those k1 steps are sent back through the last k2 "
        "steps, whose tapes are still there. With k2 > k1 windows overlap, and each loss sees at "
        "least k2 − k1 + 1 steps of its past. What lies further back counts as a constant: "
        "dependencies longer than k2 get no gradient, and the error does not average out.",
        "path": "rnnbench.gradients.truncation.truncated",
    },
    {
        "name": "chunked",
        "kind": "schedule",
        "source": "Williams & Peng 1990, Neural Computation 2:490-501, with k1 = k2 = k",
        "bias": "no gradient crosses the edge of a chunk",
        "time": "T (f + b)",
        "memory": "k A",
        "cells": ANY,
        "check": "outputs equal the unchunked ones bit for bit; the gradient is the sum of the "
        "chunks' gradients, each with its initial state taken as a constant; k ≥ T is full",
        "about": "What most training loops do: the sequence is cut into chunks of k steps, the "
        "state is carried over the edge as a number, its gradient is not. No step runs twice. A "
        "loss just after an edge sees a single step of its past, one just before it all k.",
        "path": "rnnbench.gradients.schedule.chunked",
    },
    {
        "name": "artbp",
        "kind": "schedule",
        "source": "Tallec & Ollivier 2017, arXiv:1705.08209, section 3",
        "bias": "none on average, noise instead",
        "time": "T (f + b)",
        "memory": "k A, k the longest stretch uncut",
        "cells": ANY,
        "check": "for a small T, the mean over all truncations, weighted by their probabilities, "
        "is the full gradient",
        "about": "Anticipated reweighted truncation. The sequence is cut at random places; where a "
        "gradient does cross a step that might have been cut, with probability c, it is divided "
        "by 1 − c. Rare long stretches so count for all those that were cut short, and the mean "
        "is the full gradient. The price is variance, the greater the shorter the stretches.",
        "path": "rnnbench.gradients.truncation.random_truncation",
    },
    {
        "name": "adaptive",
        "kind": "schedule",
        "source": "Aicher, Foti & Fox 2019, arXiv:1905.07473",
        "bias": "below a chosen share of its norm, if gradients decay geometrically",
        "time": "as truncated, with the k2 it chooses",
        "memory": "k2 A",
        "cells": ANY + "; the bound says nothing where gradients do not decay",
        "check": "the measured bias is below the stated geometric bound",
        "about": "Chooses how far back to go by how much bias is tolerable. Norms of the gradient "
        "at growing lags are measured and bounded by a geometric decay; what lies beyond a lag k "
        "then sums to a geometric series, and the smallest k whose series is below the tolerance, "
        "relative to the whole gradient, is taken. Beyond the lags that were measured it rests on "
        "the assumption that the decay goes on.",
        "path": "rnnbench.gradients.adaptive.least_truncation",
    },
    {
        "name": "sqrt_checkpointing",
        "kind": "schedule",
        "source": "Chen, Xu, Zhang & Guestrin 2016, arXiv:1604.06174, section 4",
        "bias": "",
        "time": "T (2f + b)",
        "memory": "√T (S + A)",
        "cells": ANY,
        "check": "equals full bit for bit on the cpu, elsewhere up to the rounding of sums; stored "
        "states and forward steps as predicted",
        "about": "The first pass forwards keeps only the states at the edges of √T stretches. "
        "Going back, each stretch runs again from its edge, this time with a tape. One more "
        "forward pass buys memory that grows with √T in place of T.",
        "path": "rnnbench.gradients.checkpointing.sqrt_checkpointing",
    },
    {
        "name": "optimal_checkpointing",
        "kind": "schedule",
        "source": "Gruslys et al. 2016, arXiv:1606.03401, section 3",
        "bias": "",
        "time": "C(T, m) f + T b",
        "memory": "m S + A",
        "cells": ANY,
        "check": "equals full bit for bit on the cpu, elsewhere up to the rounding of sums; "
        "forward steps equal the recurrence's optimum; never more than m states stored",
        "about": "The best use of room for m states, found by dynamic programming: store a state "
        "after y steps, do what is right of it with m − 1, then what is left of it with m, so "
        "C(t, m) = min over y of y + C(t−y, m−1) + C(y, m), with C(t, 1) = t(t+1)/2. With m of "
        "some √T it costs little more than sqrt_checkpointing; a few states suffice for any T.",
        "path": "rnnbench.gradients.checkpointing.optimal_checkpointing",
    },
    {
        "name": "revolve",
        "kind": "schedule",
        "source": "Griewank & Walther 2000, ACM TOMS 26:19-45, algorithm 799",
        "bias": "",
        "time": "C(T, m) f + T b",
        "memory": "m S + A",
        "cells": ANY,
        "check": "equals full bit for bit on the cpu, elsewhere up to the rounding of sums; "
        "forward steps equal the closed form, the recurrence's optimum; never more than m states "
        "stored",
        "about": "The same optimum in closed form, known before: m states and at most r runs of "
        "a step before the one with a tape reach binomial(m+r, r) steps, so both need grow with "
        "the logarithm of T only. For the least such r, C(T, m) = (r+1) T − binomial(m+r, r−1). "
        "The places of the checkpoints follow from binomial coefficients; no table is filled.",
        "path": "rnnbench.gradients.checkpointing.revolve",
    },
    {
        "name": "reversible",
        "kind": "reversible",
        "source": "MacKay, Vicol, Ba & Grosse 2018, arXiv:1810.10999",
        "bias": "",
        "time": "T (2f + b)",
        "memory": "S + A + n T S bits, at most n forgotten in a product",
        "cells": "a pair of streams around any cell; a cell by itself can't be undone",
        "check": "states and gradients are those of the layer with all tapes kept, bit for bit",
        "about": "Each half of the state is updated by what sees the other half only, so a "
        "step can be undone: the states are computed back from the last one, none is stored. "
        "Multiplying by a forget gate below 1 loses bits, in floating point for good; numbers are "
        "therefore fixed-point, and the lost bits go to a buffer. The gradient takes rounding for "
        "the identity.",
        "path": "rnnbench.layers.reversible.Reversible",
    },
    {
        "name": "scan",
        "kind": "scan",
        "source": "Blelloch 1990; Martin & Cundy 2018, arXiv:1709.04057; Wang et al. 2019, "
        "arXiv:1907.10134",
        "bias": "",
        "time": "T (f + b) in all, in 2 log₂ T rounds one after another",
        "memory": "T A",
        "cells": "those whose step is linear in the state, elementwise (SRU, QRNN, minGRU …); "
        "elsewhere the product of Jacobians costs S³ a step",
        "check": "equals the sequential gradient up to rounding, for any T",
        "about": "c_t = f_t c_{t−1} + u_t with f and u free of c: two steps make one of the same "
        "form, so a tree of combinations gives all c_t in 2 log₂ T rounds of array operations. "
        "The gradient obeys such a recurrence too, backwards. The work does not shrink: a scan "
        "pays where one step is too small to keep the processor busy.",
        "path": "rnnbench.gradients.scan.Scan",
    },
    {
        "name": "sparse_attentive_backtracking",
        "kind": "topology",
        "source": "Ke et al. 2018, arXiv:1809.03702, sections 3.1 and 3.2",
        "bias": "no gradient beyond k_trunc steps but through states attended to",
        "time": "T (f + b) + T (T/k_att) H for the attention",
        "memory": "T A + (T/k_att) H",
        "cells": ANY + ", inside the layer that attends",
        "check": "with everything kept (no truncation, all states attended to) the full gradient "
        "of the augmented graph",
        "about": "Every k_att-th state goes into a memory. At each step an attention picks the "
        "k_top most relevant, adds them to the new state, and gradients flow through these "
        "connections straight to the distant past, from there through a few steps only. The long "
        "way through every step is cut: credit reaches what the network was reminded of.",
        "path": "rnnbench.layers.augmented.SparseAttentive",
    },
    {
        "name": "clip_by_global_norm",
        "kind": "clipping",
        "source": "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1",
        "bias": "length at most c, direction kept",
        "time": "P",
        "memory": "P",
        "cells": ANY,
        "check": "nothing changes up to c; above, the norm is c; NaN and inf are reported",
        "about": "All gradients together are one vector g, multiplied by min(1, c/‖g‖). Its "
        "direction stays, so a step along it still goes downhill. The remedy for exploding "
        "gradients that is used most; it does nothing for vanishing ones.",
        "path": "rnnbench.gradients.clipping.clip_by_global_norm",
    },
    {
        "name": "clip_by_norm",
        "kind": "clipping",
        "source": "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1, for each array",
        "bias": "each array's length at most c",
        "time": "P",
        "memory": "P",
        "cells": ANY,
        "check": "nothing changes up to c; above, that array's norm is c",
        "about": "Each parameter's gradient is shortened by itself. One array that explodes does "
        "not shrink the others' steps; but the whole gradient changes its direction, and a "
        "parameter with a long gradient is held back against the others.",
        "path": "rnnbench.gradients.clipping.clip_by_norm",
    },
    {
        "name": "clip_by_value",
        "kind": "clipping",
        "source": "Mikolov 2012, PhD thesis, Statistical language models based on neural networks",
        "bias": "each entry within ±c",
        "time": "P",
        "memory": "P",
        "cells": ANY,
        "check": "nothing changes up to c; above, the entry is ±c",
        "about": "Every entry is limited by itself: cheap, and blind to direction. A gradient of "
        "which many entries are beyond c becomes a vector of signs; one with a few such entries "
        "loses those alone.",
        "path": "rnnbench.gradients.clipping.clip_by_value",
    },
    {
        "name": "clip_through_time",
        "kind": "clipping",
        "source": "Graves 2013, arXiv:1308.0850, section 2.1",
        "bias": "what flows from step to step is limited",
        "time": "T S",
        "memory": "S",
        "cells": ANY,
        "check": "nothing changes up to c; where it acts, the gradient is that of the steps one by "
        "one, each given the limited one",
        "about": "The gradient at the states is limited at every step on its way back, before it "
        "can explode; the parameters' gradient is then summed from finite shares. Clipping at the "
        "end comes too late where the sum has overflowed.",
        "path": "rnnbench.gradients.clipping.clip_through_time",
    },
)
