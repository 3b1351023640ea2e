"""`python -m interpret heads`: which heads carry which attribute, confirmed by ablation.

Roles are found on one split and judged on another. With Waterbirds, heads that read the background
are removed, listed by hand and chosen on the validation split, and roles are told if attributes are
named; on glyphs, `--planted` does the same with a cue that is planted, and so known.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from datamodules.errors import InputError
from interpret.commands.asked import add_attributes, annotated, told_apart
from interpret.flags import whole
from interpret.heads.causal import Confirmation
from interpret.heads.figure import roles_figure
from interpret.heads.planted import study_planted
from interpret.heads.spurious import Removal
from interpret.heads.study import LabelledImages, RoleStudy, Words, study_roles
from interpret.heads.waterbirds import CLASSES, cue_labels, study_waterbirds
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.parts import score_parts
from interpret.plain import plain
from interpret.subject import Items, Subject


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "which heads carry which attribute, confirmed by ablation"
    command = commands.add_parser("heads", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    add_attributes(command)
    command.add_argument(
        "--judged_on", default="", help="split that accuracies are measured on (default: a test)"
    )
    command.add_argument(
        "--num_images", type=whole(2), default=1500, help="most of either split (default: 1500)"
    )
    command.add_argument(
        "--top",
        type=whole(1),
        default=2,
        help="heads of an attribute ablated together (default: 2)",
    )
    command.add_argument("--seed", type=whole(0), default=0, help="of random heads (default: 0)")
    command.add_argument(
        "--planted", action="store_true", help="glyphs: plant a cue, and find and remove its heads"
    )
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = open_subject(args)
    judged = args.judged_on or next(iter(subject.data.test_splits), "")
    if judged in {"", subject.split}:
        raise InputError(
            f"--judged_on: expected a split other than {subject.split!r}, on which roles are "
            f"found, got {judged!r}. Splits: {', '.join(subject.data.splits)}."
        )
    protocol = subject.protocol | {"selected": subject.split, "reported": judged}
    output = Output(default_folder(args), "heads", protocol, as_json=args.json)
    metrics: dict[str, Any] = {}
    names: tuple[str, ...] = annotated(subject, args.attributes)
    for split in (subject.split, judged):
        shown = told_apart(subject, args.attributes, subject.part_of(split, args.num_images))
        names = tuple(name for name in names if name in shown)
    is_birds = subject.data.source_name == "waterbirds"
    if len(names) > 1 and (args.attributes or not is_birds):
        study = _roles(args, subject, judged, names)
        title = f"heads of attributes, {subject.backbone.name} {subject.delta}".strip()
        _tell_roles(output, study, title)
        metrics["roles"] = plain(study)
    if is_birds:
        metrics["waterbirds"] = plain(_waterbirds(args, subject, judged, output))
    if args.planted:
        planted = study_planted(subject.backbone, seed=args.seed)
        _tell_removal(output, "planted cue: heads chosen on validation", planted.removal)
        metrics["planted"] = plain(planted)
    if not metrics:
        raise InputError(
            f"expected two or more attributes that images of both splits show, got "
            f"{', '.join(names) or 'none'}: roles are told apart by what else heads carry."
        )
    output.close(metrics)
    return 0


def _roles(
    args: argparse.Namespace, subject: Subject, judged: str, names: tuple[str, ...]
) -> RoleStudy:
    words = {
        name: Words(subject.data.dictionary.attribute(name).texts, subject.value_texts(name))
        for name in names
    }

    def images(split: str) -> LabelledImages:
        items = subject.part_of(split, args.num_images)
        labels = {name: subject.labels(name, items) for name in names}
        return LabelledImages(subject.lazily(items), labels)

    return study_roles(
        subject.headed, words, images(subject.split), images(judged), top=args.top, seed=args.seed
    )


def _tell_roles(output: Output, study: RoleStudy, title: str) -> None:
    rows = []
    for role in study.roles:
        best = sorted(role.roles, key=lambda each: -each.class_share)[:3]
        told = ", ".join(
            f"{each.head} {each.share:.2f} ({each.low:.2f} to {each.high:.2f})" for each in best
        )
        rows.append((role.attribute, f"{role.accuracy:.3f}", told, f"{role.effective_heads:.1f}"))
    output.table(
        "heads by what tells values apart, and their covariance share (95 % interval)",
        ("attribute", "accuracy", "heads", "effective heads"),
        rows,
    )
    for name, found in (("direct", study.direct), ("total", study.total)):
        _tell_confirmation(output, f"accuracy lost by the {name} effect", found)
    output.figure("roles.png", roles_figure(study, title=title))


def _tell_confirmation(output: Output, title: str, found: Confirmation) -> None:
    rows: list[tuple[str, ...]] = [
        (f"{name}: {', '.join(map(str, found.heads[name]))}", *(f"{value:+.3f}" for value in row))
        for name, row in zip(found.attributes, found.matrix, strict=True)
    ]
    rows.append(("random heads", *(f"{value:+.3f}" for value in found.random_loss)))
    output.table(title, ("without the heads of", *found.attributes), rows)
    output.say(
        f"  diagonal dominance {found.dominance:.3f}, p = {found.p_permutation:.4f} over "
        f"permutations, {found.p_random:.4f} over random heads"
    )


def _waterbirds(args: argparse.Namespace, subject: Subject, judged: str, output: Output) -> Any:
    entry = next(
        (name for name in subject.annotated if set(CLASSES) <= set(_values(subject, name))), None
    )
    if entry is None:
        raise InputError(
            f"expected an attribute with the values {' and '.join(CLASSES)} in the dictionary, got "
            f"{', '.join(subject.annotated)}."
        )
    order = [_values(subject, entry).index(name) for name in CLASSES]
    texts_TE = subject.value_texts(entry)[order]

    def scores(split: str) -> tuple[Any, Items]:
        items = subject.part_of(split, args.num_images if split == "train" else None)
        batches = subject.batches(items, f"images of {split}")
        return score_parts(subject.headed, batches, texts_TE, CLASSES), items

    train, _ = scores("train")
    labelled = []
    for split in (subject.split, judged):
        table, items = scores(split)
        labelled.append((table, cue_labels(subject.data.annotations, items)))
    study = study_waterbirds(subject.backbone.name, train, *labelled, seed=args.seed)
    _tell_removal(output, "background heads chosen on validation", study.automatic)
    if study.listed is not None:
        _tell_removal(output, "background heads listed by hand", study.listed)
    return study


def _values(subject: Subject, attribute: str) -> list[str]:
    return list(subject.data.dictionary.attribute(attribute).texts)


def _tell_removal(output: Output, title: str, found: Removal) -> None:
    rows = [
        (when, f"{each.worst_group:.3f}", f"{each.average:.3f}")
        for when, each in (("before", found.before), ("after", found.after))
    ]
    rows.append(("random heads", f"{np.mean(found.random):.3f}", ""))
    output.table(title, ("", "worst group", "average"), rows)
    removed = ", ".join(map(str, found.parts)) or "none"
    output.say(f"  removed: {removed}; p = {found.p_random:.3f} over as many random heads")
