"""Interference of deltas before they are composed: where, between which, and how much of it can go.

In every weight the deltas are added with coefficient 1, and each is judged on its own inputs:

    interference = sum_t E_t ||sum_{k != t} delta_k x||^2 / sum_t E_t ||delta_t x||^2

x are the inputs of delta t: its images, or, without any, the rows of delta t itself. That is the
least-squares problem of `composition.solvers` at c = 1, whose solution says what coefficients can
gain. Cosines and norms are over the images of all deltas alike; without images they are plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple

from torch import Tensor

from composition.basis import Basis
from composition.interference.control import joint, random_like
from composition.interference.disentanglement import Disentanglement
from composition.interference.numbers import ALL, Key, Numbers
from composition.interference.report import Interference, Pair, PairNumbers, Weight, WeightNumbers
from composition.solvers.moments import Moments, delta_moments, input_moments
from composition.solvers.updates import DenseUpdates, Updates, updates_of
from datamodules.errors import InputError
from lightning_modules.tensors import first_five

_NUM_RESPONSIBLE = 5


def measure_interference(
    basis: Basis,
    *,
    images: Mapping[str, Iterable[Tensor]] | None = None,
    encode: Callable[[Tensor], object] | None = None,
    draws: int = 4,
    seed: int = 0,
    disentanglement: Sequence[Disentanglement] = (),
) -> Interference:
    """Measure the interference of all deltas of a basis.

    Args:
        basis: at least two deltas.
        images: delta -> batches of its images, a few dozen images in all; None for no data.
        encode: calls the basis's model with a batch; together with `images`.
        draws: sets of random deltas to compare with, at least 1.
        seed: of these.
        disentanglement: what `disentanglement_error` returned, to stand in the same report.

    Raises:
        InputError: if there are fewer than two deltas, the images of some are missing, images come
            without `encode` or the other way round, or there is no draw.
    """
    _check(basis, images, encode, draws)
    bases = [basis, *(random_like(basis, seed + draw) for draw in range(draws))]
    if images is None or encode is None:
        moments: list[dict[str, Moments]] = [dict(delta_moments(each)) for each in bases]
        information = "data-free"
    else:
        counter = _Counter(encode)
        moments = _joint_moments(bases, images, counter)
        information = f"{counter.images} unlabelled images"
    found, *random = (
        Numbers.of(each, own, over_images=images is not None)
        for each, own in zip(bases, moments, strict=True)
    )
    excess = {name: _excess(name, found, random) for name in found.norms if name != ALL}
    above = [name for name in excess if excess[name] > 0]
    return Interference(
        basis.names,
        information,
        draws,
        seed,
        tuple(_weight(name, basis.names, found, random) for name in excess),
        _weight(ALL, basis.names, found, random),
        tuple(_pair(key, basis.names, found, random) for key in found.cosines),
        tuple(sorted(above, key=excess.__getitem__, reverse=True)[:_NUM_RESPONSIBLE]),
        tuple(disentanglement),
    )


class _Counter:
    """Encodes images and counts them."""

    def __init__(self, encode: Callable[[Tensor], object]) -> None:
        self.encode, self.images = encode, 0

    def __call__(self, batch: Tensor) -> None:
        self.images += len(batch)
        self.encode(batch)


def _joint_moments(
    bases: Sequence[Basis],
    images: Mapping[str, Iterable[Tensor]],
    encode: Callable[[Tensor], object],
) -> list[dict[str, Moments]]:
    """Moments of each basis, delta by delta; images pass once for all bases."""
    names = [f"{place} {name}" for place in range(len(bases)) for name in bases[0].names]
    everything, updates = joint(bases, names), updates_of(bases[0])
    moments: list[dict[str, Moments]] = [{} for _ in bases]
    for name in bases[0].names:
        read = input_moments(everything, encode, images[name])
        for place, own in enumerate(moments):
            own[name] = {weight: _part(read[weight], updates[weight], place) for weight in read}
    return moments


def _part(moment_SS: Tensor, update: Updates, place: int) -> Tensor:
    """What of a joint moment is that of the basis at this place."""
    if isinstance(update, DenseUpdates):
        return moment_SS
    size = len(update.directions)
    rows = slice(place * size, (place + 1) * size)
    return moment_SS[rows, rows].clone()  # lets go of the joint one


def _excess(weight: str, found: Numbers, random: Sequence[Numbers]) -> float:
    """Interference above that of random deltas, not as a share."""
    residual = found.residuals[weight]
    return residual.one - residual.zero * _mean(r.shares(weight).interference for r in random)


def _weight(weight: str, names: Sequence[str], found: Numbers, random: Sequence[Numbers]) -> Weight:
    residual = found.residuals[weight]
    columns = zip(*(astuple(each.shares(weight)) for each in random), strict=True)
    return Weight(
        weight,
        dict(zip(names, found.norms[weight], strict=True)),
        found.shares(weight),
        WeightNumbers(*map(_mean, columns)),
        residual.one / (found.residuals[ALL].one or 1.0),
        residual,
    )


def _pair(key: Key, names: Sequence[str], found: Numbers, random: Sequence[Numbers]) -> Pair:
    weight, first, second = key
    cosine = _mean(abs(each.cosines.get(key, 0.0)) for each in random)
    own, others = PairNumbers((), (), None, found.cosines[key]), PairNumbers((), (), None, cosine)
    if key in found.angles:
        own = PairNumbers(*found.angles[key], found.cosines[key])
        columns, rows, overlaps = zip(*(each.angles[key] for each in random), strict=True)
        others = PairNumbers(_means(columns), _means(rows), _mean(overlaps), cosine)
    return Pair(weight, names[first], names[second], own, others)


def _means(lists: Iterable[Sequence[float]]) -> tuple[float, ...]:
    return tuple(map(_mean, zip(*lists, strict=True)))


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _check(basis: Basis, images: object, encode: object, draws: int) -> None:
    if len(basis.names) < 2:
        raise InputError(f"expected at least two deltas, got {', '.join(basis.names)} alone.")
    if (images is None) != (encode is None):
        raise InputError("expected both images and encode, or neither, got one of the two.")
    if isinstance(images, Mapping) and set(images) != set(basis.names):
        wrong = sorted(set(images) ^ set(basis.names))
        raise InputError(
            f"expected images of each delta ({', '.join(basis.names)}) and of no other, got too "
            f"few or too many: {first_five(wrong)}."
        )
    if draws < 1:
        raise InputError(f"draws is {draws}, expected at least 1 set of random deltas.")
