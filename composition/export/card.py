"""The README of a composition: what it is, how good it is, how to load it, how to make it again."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping

from composition.coefficients import Named
from composition.export.schema import CompositionCard

MERGED_NAME = "open_clip"
_FIRST = ("base", "composed")


def readme(card: CompositionCard, coefficients: Named) -> str:
    """Markdown with YAML front matter, as model hubs show it."""
    parts = [
        _front_matter(card),
        f"# {card.name}: a composition for {card.backbone}",
        _summary(card),
        "## Base and composed",
        _metrics(card),
        f"Protocol: {_pairs(card.protocol)}.",
        "## Coefficients",
        _coefficients(coefficients),
        "`coefficients.safetensors` holds them all, named `<delta>/<block>`.",
        "## Load it",
        *_usage(card),
        "## Make it again",
        f"```\n{card.command or 'not recorded'}\n```",
        _provenance(card),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(card: CompositionCard) -> str:
    names = [record.name for record in card.deltas]
    entries = {
        "base_model": "/".join(filter(None, [card.backbone, card.pretrained])),
        "library_name": "open_clip" if card.adapter.form == "none" else "peft",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "composition", "aspectra", *names],
    }
    # JSON strings and lists are YAML as they are, whatever characters an attribute has.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    return "\n".join(["---", *lines, "---"])


def _summary(card: CompositionCard) -> str:
    activation = "QuickGELU" if card.quick_gelu else "GELU"
    names = ", ".join(record.name for record in card.deltas)
    few = " Under a budget each weight keeps only some of them: `chosen` in composition.json."
    return (
        f"CLIP {card.backbone} {card.pretrained} ({activation}) plus {len(card.deltas)} deltas "
        f"({names}), each times its coefficients, one per delta and block of granularity "
        f"**{card.granularity}**. Made for {card.purpose} {', '.join(card.targets)} by "
        f"{card.objective}.{few if card.chosen else ''}"
    )


def _metrics(card: CompositionCard) -> str:
    found = {model for models in card.metrics.values() for model in models}
    models = [*_FIRST, *sorted(found.difference(_FIRST))]
    rows = [f"| split | metric | {' | '.join(models)} |", "|---" * (2 + len(models)) + "|"]
    for split, scores in sorted(card.metrics.items()):
        for name in sorted({name for values in scores.values() for name in values}):
            cells = [_number(scores.get(model, {}).get(name)) for model in models]
            rows.append(f"| {split} | {name} | {' | '.join(cells)} |")
    return "\n".join(rows) if len(rows) > 2 else "Not measured."


def _coefficients(coefficients: Named) -> str:
    rows = [
        "| delta | coefficients | zero | mean | smallest | largest |",
        "|---|---|---|---|---|---|",
    ]
    for delta, row in coefficients.items():
        low, high = min(row, key=row.__getitem__), max(row, key=row.__getitem__)
        zeros = sum(value == 0 for value in row.values())
        ends = " | ".join(f"{_number(row[block])} ({block})" for block in (low, high))
        mean = _number(statistics.fmean(row.values()))
        rows.append(f"| {delta} | {len(row)} | {zeros} | {mean} | {ends} |")
    return "\n".join(rows)


def _usage(card: CompositionCard) -> list[str]:
    ranks = card.adapter.ranks.values()
    size = f"{len(ranks)} modules of rank {min(ranks)} to {max(ranks)}" if ranks else ""
    adapter = {
        "exact": f"`adapter_model.safetensors` is the composition itself: {size}, scale 1.",
        "truncated": f"`adapter_model.safetensors` is the composition truncated to {size}: "
        f"relative error {_number(card.adapter.error)} (Frobenius norms of the updates).",
        "none": f"There is no adapter: {card.adapter.note}.",
    }
    backbone = f"backbone = load_backbone({card.backbone!r}, {card.pretrained!r})"
    peft = [
        "from peft import PeftModel",
        "from lightning_modules.backbone import load_backbone",
        "",
        backbone,
        'model = PeftModel.from_pretrained(backbone.model, "this folder").eval()',
    ]
    whole = [
        "from pathlib import Path",
        "from composition.export import load_composition",
        "from lightning_modules.backbone import load_backbone",
        "",
        backbone,
        'loaded = load_composition(Path("this folder"), backbone=backbone)',
        "loaded.composition  # a module with encode_image and encode_text",
        "loaded.delta()  # the same as one delta",
    ]
    merged = ["import open_clip", "", f'open_clip.create_model("local-dir:{MERGED_NAME}")']
    export = [
        "from lightning_modules.delta import export_merged",
        "",
        'export_merged(loaded.delta(), backbone, Path("merged"))',
    ]
    with_peft = ["With plain PEFT, on the backbone with split attention:", _code(peft)]
    return [
        adapter[card.adapter.form],
        *(with_peft if card.adapter.form != "none" else []),
        "With its deltas and coefficients:",
        _code(whole),
        "As plain open_clip, from inside this folder:" if card.merged else "As plain open_clip:",
        _code(merged if card.merged else export),
    ]


def _code(lines: list[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def _provenance(card: CompositionCard) -> str:
    facts = {
        "base weights (SHA-256)": card.fingerprint,
        **{f"delta {d.name} (SHA-256)": f"{d.content_hash} in {d.folder}" for d in card.deltas},
        "data": f"{card.source} {card.data_hash}".strip(),
        "dictionary": card.dictionary_hash,
        "seed": str(card.seed),
        "versions": _pairs(card.versions),
        "schema": card.schema,
    }
    return "\n".join(f"- {name}: {value or 'not recorded'}" for name, value in facts.items())


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
