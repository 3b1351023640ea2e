"""The README of a delta: what it is, how good it is, how to load it, how to make it again."""

from __future__ import annotations

import json

from lightning_modules.delta.schema import DeltaCard


def readme(card: DeltaCard) -> str:
    """Markdown with YAML front matter, as model hubs show it."""
    parts = [
        _front_matter(card),
        f"# {card.attribute}: a delta for {card.backbone}",
        _summary(card),
        "## Base and adapted",
        _table(card),
        f"Protocol: {_pairs(card.protocol) or 'not recorded'}.",
        "## Load it",
        _usage(card),
        "## Make it again",
        f"```\n{card.command or 'not recorded'}\n```",
        _provenance(card),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(card: DeltaCard) -> str:
    entries = {
        "base_model": "/".join(filter(None, [card.backbone, card.pretrained])),
        "library_name": "peft" if card.kind == "lora" else "open_clip",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", card.kind, "aspectra", card.attribute],
    }
    # JSON strings and lists are YAML as they are, whatever characters an attribute has.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    return "\n".join(["---", *lines, "---"])


def _summary(card: DeltaCard) -> str:
    activation = "QuickGELU" if card.quick_gelu else "GELU"
    kind = "low-rank factors (LoRA)" if card.kind == "lora" else "dense weight differences"
    return (
        f"What training on **{card.attribute}** added to CLIP {card.backbone} {card.pretrained} "
        f"({activation}), as {kind}. "
        f"{len(card.values)} values: {', '.join(card.values) or 'none recorded'}."
    )


def _table(card: DeltaCard) -> str:
    rows = ["| split | metric | base | adapted |", "|---|---|---|---|"]
    for split, models in sorted(card.metrics.items()):
        base, adapted = models.get("base", {}), models.get("adapted", {})
        rows += [
            f"| {split} | {name} | {_number(base.get(name))} | {_number(adapted.get(name))} |"
            for name in sorted(base.keys() | adapted.keys())
        ]
    return "\n".join(rows) if len(rows) > 2 else "Not measured."


def _usage(card: DeltaCard) -> str:
    use = (
        "model = delta.attach(backbone.model)  # a PeftModel"
        if card.kind == "lora"
        else "delta.apply(backbone.model)"
    )
    return (
        "```python\n"
        "from pathlib import Path\n\n"
        "from lightning_modules.backbone import load_backbone\n"
        "from lightning_modules.delta import load_delta\n\n"
        f"backbone = load_backbone({card.backbone!r}, {card.pretrained!r})\n"
        'delta = load_delta(Path("this folder"), backbone=backbone)\n'
        f"{use}\n"
        "```"
    )


def _provenance(card: DeltaCard) -> str:
    facts = {
        "base weights (SHA-256)": card.fingerprint,
        "data": f"{card.source} {card.data_hash}".strip(),
        "dictionary": card.dictionary_hash,
        "seed": str(card.seed),
        "versions": _pairs(card.versions),
        "schema": card.schema,
    }
    return "\n".join(f"- {name}: {value or 'not recorded'}" for name, value in facts.items())


def _pairs(values: dict[str, object] | dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
