"""How many images a second a GPU can train an adapter on: arithmetic, not a measurement.

A multiplication with its addition counts as two operations. Counted are the matrix products of the
image tower; norms, activations and the factors of LoRA (rank 8 on q, k, v: below 1 %) are left out,
and the text side, which is computed once. A step on a frozen tower is the forward pass and the
gradient through the activations, about as much again: no gradient of the large weights is needed,
which full fine-tuning pays a third time.

Shape letters: T tokens, D width.
"""

from __future__ import annotations

from typing import Any

GPU = "H200 SXM"
PEAK = 989e12  # operations a second, dense bfloat16: NVIDIA's data sheet of the H200 SXM
CORES = 16
UTILISATIONS = (0.4, 1.0)  # what a good run reaches; the bound that none does
PASSES = 2  # forward, and gradient through the activations


def forward_operations(
    image_size: int, patch_size: int, width: int, layers: int, **rest: Any
) -> int:
    """Operations of one image's way through a vision transformer of CLIP, class token included.

    Args:
        image_size: side in pixels.
        patch_size: side in pixels.
        width: D.
        layers: number of blocks.
        **rest: `mlp_ratio`, 4 where it is not given, and `embed_dim` of the projection, as
            open_clip calls them.
    """
    patches = (image_size // patch_size) ** 2
    tokens, mlp_ratio = patches + 1, rest.get("mlp_ratio", 4.0)
    into_tokens = patches * 3 * patch_size**2 * width
    projections = tokens * width**2 * (4 + 2 * mlp_ratio)  # q, k, v, out; MLP up and down
    attention = 2 * tokens**2 * width  # scores, and their mean of the values
    multiplications = into_tokens + layers * (projections + attention) + width * rest["embed_dim"]
    return int(2 * multiplications)


def demand(backbone: str = "ViT-B-32") -> dict[str, Any]:
    """What a GPU eats of a backbone's images.

    Returns:
        gpu, backbone, operations of one image's forward pass and of its step, bytes an image has in
        uint8, and rows: by utilisation, images a second, those of each core of 16, bytes a second
        to the GPU.
    """
    import open_clip

    config = open_clip.get_model_config(backbone)
    vision = config["vision_cfg"]
    forward = forward_operations(**vision, embed_dim=config["embed_dim"])
    size = 3 * vision["image_size"] ** 2
    rows = []
    for utilisation in UTILISATIONS:
        rate = utilisation * PEAK / (PASSES * forward)
        rows.append(
            {
                "utilisation": utilisation,
                "images_per_second": rate,
                "images_per_second_per_core": rate / CORES,
                "gigabytes_per_second": rate * size / 1e9,
            }
        )
    return {
        "gpu": GPU,
        "backbone": backbone,
        "forward_operations": forward,
        "step_operations": PASSES * forward,
        "bytes_per_image": size,
        "rows": rows,
    }
