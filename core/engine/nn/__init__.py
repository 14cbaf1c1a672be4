"""The arithmetic of the engine: what a step computes, in plain PyTorch. Only these files import torch."""
