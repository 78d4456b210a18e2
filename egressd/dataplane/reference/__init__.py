"""The reference decoder: slow, plain Python on dpkt, and no code in common with the fast one.

`replay --decoder reference` and `verify` run on it, so that a verdict rests on two
implementations of one meaning. It has the methods of `dataplane.plane.Plane` and gives the
same looks, flows and counters for the same frames.
"""

from egressd.dataplane.reference.plane import ReferencePlane

__all__ = ["ReferencePlane"]
