"""composition.json: what a composition was made for, of what, how, and how good it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from composition.export.fields import check_fields, read_record
from datamodules.errors import InputError
from lightning_modules.delta import DeltaCard, current_versions
from lightning_modules.delta.schema import finite

SCHEMA = "aspectra.composition/1"
Purpose = Literal["attributes", "target"]
Form = Literal["exact", "truncated", "none"]
_PROTOCOL = ("selected_on", "reported_on", "information")


@dataclass(frozen=True, kw_only=True)
class CompositionFacts:
    """What only the maker of a composition knows of it.

    Args:
        name: display name, such as "color+shape".
        purpose: "attributes" if it is to be good at several attributes at once, "target" if at one
            other data set or task.
        targets: names of these attributes, or of the data set.
        protocol: `selected_on`, `reported_on` (splits) and `information` (which data it has seen).
        objective: what the coefficients were chosen by, with its settings.
        source: name of the data set.
        dictionary_hash: SHA-256 of the dictionary of attributes.
        data_hash: SHA-256 of the data.
        seed: of the run.
        metrics: {split: {model: {name: value}}}; the models are "base", "composed" and any others
            that were compared.
        command: makes this composition again.
        chosen: weight -> deltas that change it, where a budget has chosen them; {} for all.

    Raises:
        InputError: if the protocol lacks one of its three keys.
    """

    name: str
    purpose: Purpose
    targets: tuple[str, ...]
    protocol: dict[str, Any]
    objective: str
    source: str = ""
    dictionary_hash: str = ""
    data_hash: str = ""
    seed: int = 0
    metrics: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    command: str = ""
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if missing := [key for key in _PROTOCOL if key not in self.protocol]:
            raise InputError(
                f"the protocol of the composition {self.name!r} lacks {', '.join(missing)}. "
                "Expected which split selected, which are reported and which data was seen."
            )


@dataclass(frozen=True, kw_only=True)
class DeltaRecord:
    """One delta of a composition.

    Args:
        name: its attribute.
        folder: where it lies, seen from the composition's folder.
        content_hash: SHA-256 of its numbers.
    """

    name: str
    folder: str
    content_hash: str


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """What adapter_model.safetensors is to the composition.

    Args:
        form: "exact", "truncated" to a lower rank, or "none": there is no such file.
        note: why there is none.
        ranks: module -> rank.
        error: |adapter - composition| / |composition|, Frobenius norms over all modules.
        errors: module -> the same for it alone.
    """

    form: Form
    note: str = ""
    ranks: dict[str, int] = field(default_factory=dict)
    error: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CompositionCard(CompositionFacts):
    """The metadata of a composition; each field is a key of composition.json.

    Args:
        deltas: what it is made of, in the order of the coefficients.
        backbone: architecture or folder of the base model.
        pretrained: tag or file of the base model.
        fingerprint: SHA-256 of the base weights, see `lightning_modules.tensors.fingerprint`.
        quick_gelu: whether the base model's activation is QuickGELU.
        granularity: of the coefficients, see `composition.granularity`.
        adapter: what the adapter in the folder is.
        merged: whether the folder holds the merged model for open_clip, too.
        versions: of the packages that made it.
        schema: version of this layout.
    """

    deltas: tuple[DeltaRecord, ...]
    backbone: str
    pretrained: str
    fingerprint: str
    quick_gelu: bool
    granularity: str
    adapter: AdapterRecord
    merged: bool = False
    versions: dict[str, str] = field(default_factory=current_versions)
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The content of composition.json; numbers that are not finite become null."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain

    @classmethod
    def from_json(cls, content: Any, path: Path) -> CompositionCard:
        """Check and read the content of composition.json.

        Raises:
            InputError: if it is of another schema, or keys are missing, unknown or of a wrong type.
        """
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            got = content.get("schema") if isinstance(content, dict) else type(content).__name__
            raise InputError(
                f"{path} has schema {got!r}, expected {SCHEMA!r}. "
                "Use the version of this project that wrote it, or compose again."
            )
        checked = check_fields(cls, content, str(path))
        deltas = [read_record(DeltaRecord, each, f"{path}: deltas") for each in content["deltas"]]
        adapter = read_record(AdapterRecord, content["adapter"], f"{path}: adapter")
        nested = {"targets": tuple(content["targets"]), "deltas": tuple(deltas)}
        return cls(**{**checked, **nested, "adapter": adapter})

    def delta_card(self) -> DeltaCard:
        """Metadata for the composition as one delta; it has no values or prompts of its own."""
        metrics = {
            split: {"base": models.get("base", {}), "adapted": models.get("composed", {})}
            for split, models in self.metrics.items()
        }
        return DeltaCard(
            attribute=self.name,
            values=(),
            templates=(),
            backbone=self.backbone,
            pretrained=self.pretrained,
            fingerprint=self.fingerprint,
            quick_gelu=self.quick_gelu,
            source=self.source,
            dictionary_hash=self.dictionary_hash,
            data_hash=self.data_hash,
            protocol=self.protocol | {"objective": self.objective},
            seed=self.seed,
            versions=self.versions,
            metrics=metrics,
            command=self.command,
        )
