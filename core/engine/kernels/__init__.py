"""A step of the model, compiled for this machine's processor when it first runs. numba lives only here; knows no torch.

Weights are in 8 or 4 bits, activations are rounded to 15 bits for the products, everything else is float32.
"""
