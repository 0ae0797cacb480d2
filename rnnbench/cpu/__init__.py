"""The CPU target.

plan      a cell's spec as runs: matrices whose rows lie side by side
frame     the sizes of a call, and how threads share rows and units
layout    where everything lies; the table, plain integers, that tells the drivers what to do
          (table: its words; direction: what both directions have; grids: small copies)
forward   the drivers. They know neither cells nor numbers: compiled once, they call all else
backward  by its address, from the table
pointwise the loop over a stage of a cell: the equations on vectors (simd, vectormath); compiled
          for each cell and dtype, and nothing else is
slopes    the maths' derivatives, for algorithms that go forward in time (``linearise``)
panels    products of rows with packed matrices, from register tiles (tile)
moves     packing, copying, summing rows
threads   the team; native: atomics, barriers, calls by address
memory    blocks that are used again
target    checks done, hands memory and table to the drivers, and results back
"""
