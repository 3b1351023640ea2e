"""One model out of many deltas.

Empty so far: this room opens on top of the deltas that `lightning_modules` saves.
"""
