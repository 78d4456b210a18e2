"""Captures of whole sites with exact truth, made from a seed byte for byte.

Frames are built by hand, so that the truth (who sent what to whom, how far each
contact got) is written down while sending and owes nothing to egressd. It never
sends anything: it only writes files.
"""
