"""Instruments: what the numbers of a pass say. Each answers one question."""
