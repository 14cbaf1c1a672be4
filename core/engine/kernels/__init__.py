"""A step of the model, compiled by numba for this machine's processor. Imports no torch.

Weights are in 8 or 4 bits, activations are quantized to 15 bits for the products, everything else is float32.
"""
