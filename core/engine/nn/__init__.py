"""The model in PyTorch: loading, formats of weights, steps and sampling. The only package that imports torch."""
