"""Random codes and their moments, for tests of what follows from moments."""

import torch

from interpret.moments import HeadMoments


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments_of(codes, identity="clip"):
    moments = HeadMoments.empty(identity, *codes.shape[1:])
    moments.update(codes)
    return moments
