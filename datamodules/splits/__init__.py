"""Splits as pure functions of plain sequences; each can be written to JSON with its hash.

by_hash        shares of images, or of groups of images, that never move when others are added
few_shot       k images a class, as CoOp published them; coop_files reads its split files
own_parts      CoOp's rules for data sets that come without parts
base_to_new    the first half of the classes trains, the other is new
zero_shot      unseen classes of own data; att_splits reads those of Xian et al.
compositional  unseen pairs of own data; pair_files reads the published pairs
"""

from __future__ import annotations

from datamodules.splits.att_splits import AttSplits, proposed_split, read_att_splits, read_images
from datamodules.splits.base_to_new import base_and_new, base_to_new_split, relabel
from datamodules.splits.by_hash import hash_split
from datamodules.splits.compositional import PairRequest, compositional_split
from datamodules.splits.coop_files import Item, read_split_zhou, write_split_zhou
from datamodules.splits.few_shot import FewShot, draw_shots, few_shot_split
from datamodules.splits.own_parts import hold_out, three_parts
from datamodules.splits.pair_files import PairLists, check_primitives, read_pair_lists, read_pairs
from datamodules.splits.split import Split, check_disjoint
from datamodules.splits.zero_shot import zero_shot_split

__all__ = [
    "AttSplits",
    "FewShot",
    "Item",
    "PairLists",
    "PairRequest",
    "Split",
    "base_and_new",
    "base_to_new_split",
    "check_disjoint",
    "check_primitives",
    "compositional_split",
    "draw_shots",
    "few_shot_split",
    "hash_split",
    "hold_out",
    "proposed_split",
    "read_att_splits",
    "read_images",
    "read_pair_lists",
    "read_pairs",
    "read_split_zhou",
    "relabel",
    "three_parts",
    "write_split_zhou",
    "zero_shot_split",
]
