"""Moments of head codes over many images, saved as they grow, so that work can stop and go on."""

from __future__ import annotations

from pathlib import Path

from datamodules.files import check_place
from interpret.decompose import Convention, codes, readout, trace
from interpret.moments import HeadMoments
from interpret.subject import Subject

_SAVED_EVERY = 20  # batches


def gather_moments(subject: Subject, path: Path, convention: Convention = "shared") -> HeadMoments:
    """Moments of the heads over the images of a subject.

    They are written to a file every few batches. If the file holds some of the same images already,
    the work goes on from there; if it holds all, nothing is run.

    Args:
        subject: model and images.
        path: the npz file.
        convention: see `interpret.decompose`.

    Raises:
        InputError: if the file holds moments of something else, or cannot be written.
    """
    check_place(path)
    tower, items = subject.headed, subject.items
    maps = readout(tower, convention)
    identity = f"{subject.identity}/{convention}"
    layers, heads, width, _ = maps.maps_LHCE.shape
    moments = HeadMoments.empty(identity, layers, heads, width)
    if path.is_file():
        moments = HeadMoments.load(path, identity)
    rest = items[moments.count :]
    for number, images in enumerate(subject.batches(rest), start=1):
        moments.update(codes(trace(tower, images), maps))
        if number % _SAVED_EVERY == 0:
            moments.save(path)
    if len(rest):
        moments.save(path)
    return moments
