"""What a spend costs: `make bench` measures credits-db beside the bare minimum, on one server, in one run.

Ratios are of slices of a few seconds that take turns, so a neighbour who slows the machine slows both sides. Figures
that no neighbour moves (WAL, buffers, HOT, bytes a row, messages) stand beside them, then the aims, met or missed.
"""
