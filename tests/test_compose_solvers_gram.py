"""Inner products of deltas come from their factors, and equal those of dense matrices."""

import numpy as np
import pytest
import torch

from composition import Basis, Composition
from composition.solvers.moments import delta_moments, input_moments
from composition.solvers.updates import FactorUpdates, updates_of
from datamodules.errors import InputError
from tests.compose_samples import clip, dense, dense_updates, denses, images, lora, loras

QUERY = "visual.transformer.resblocks.1.attn.q_proj.weight"


def mixed():
    """Two LoRA deltas and a dense one that leaves queries alone."""
    return [*loras()[:2], dense("size", lambda name: "q_proj" not in name)]


def matrices(deltas, weight):
    """Dense updates of one weight, one matrix for each delta."""
    updates = [dense_updates(delta, torch.float64).get(weight) for delta in deltas]
    shape = next(update.shape for update in updates if update is not None)
    return [np.zeros(shape) if update is None else update.numpy() for update in updates]


def products(deltas, weight, moment=None):
    """<delta_k, delta_l>_C the slow way."""
    dense = matrices(deltas, weight)
    flat = [d if moment is None else d @ moment for d in dense]
    return np.array([[(one * other).sum() for other in dense] for one in flat])


def inputs_of(model, weight, batch):
    """What the weight's module reads, (tokens, inputs), float64."""
    seen = []
    module = model.get_submodule(weight.removesuffix(".weight"))
    hook = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, -2)))
    model.encode_image(batch)
    hook.remove()
    return torch.cat(seen).double().numpy()


@pytest.mark.parametrize("build", [loras, denses, mixed])
def test_plain_inner_products_equal_those_of_dense_matrices(build):
    deltas = build()
    basis = Basis.from_deltas(deltas, clip())
    updates = updates_of(basis)
    assert list(updates) == basis.weights
    for weight, update in updates.items():
        np.testing.assert_allclose(update.gram(), products(deltas, weight), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("build", [loras, denses, mixed])
def test_inner_products_over_images_equal_those_of_the_outputs_changes(build):
    deltas, model = build(), clip()
    basis = Basis.from_deltas(deltas, model)
    moments = input_moments(basis, model.encode_image, images(6).split(4))
    for weight, moment in moments.items():
        x = inputs_of(model, weight, images(6))
        changes = [x @ update.T for update in matrices(deltas, weight)]
        expected = [[(a * b).sum() / len(x) for b in changes] for a in changes]
        found = updates_of(basis)[weight].gram(moment)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 * np.max(expected))


def test_only_the_ranks_bound_the_memory_of_low_rank_deltas():
    basis = Basis.from_deltas(loras(), clip())
    moments = input_moments(basis, basis.model.encode_image, [images()])
    sizes = {weight: len(moment) for weight, moment in moments.items()}
    ranks = {f"{name}.weight": len(each.A_RI) for name, each in basis.factors.items()}
    assert sizes == ranks
    assert sizes[QUERY] == 2 + 3 + 1


def test_moments_of_several_batches_are_those_of_one():
    basis = Basis.from_deltas(mixed(), clip(torch.float64))
    encode, x = basis.model.encode_image, images(6, torch.float64)
    once, thrice = input_moments(basis, encode, [x]), input_moments(basis, encode, x.split(2))
    assert all(torch.allclose(once[weight], thrice[weight], rtol=1e-12) for weight in once)
    hooks = [module._forward_pre_hooks for module in basis.model.modules()]
    assert not any(hooks), "hooks are gone"


def test_moments_are_of_the_model_that_encodes():
    basis = Basis.from_deltas(loras(), clip())
    base = input_moments(basis, basis.model.encode_image, [images()])
    composed = Composition(basis, "global")
    zero = input_moments(basis, composed.encode_image, [images()])
    assert torch.allclose(zero[QUERY], base[QUERY], rtol=1e-5)
    composed.one_hot("shape")
    adapted = input_moments(basis, composed.encode_image, [images()])
    assert (adapted[QUERY] - base[QUERY]).norm() > 0.05 * base[QUERY].norm()


@pytest.mark.parametrize("build", [loras, denses, mixed])
def test_moments_without_images_are_those_of_the_deltas_rows(build):
    deltas = build()
    basis = Basis.from_deltas(deltas, clip())
    moments = delta_moments(basis)
    assert list(moments) == list(basis.names)
    for weight, update in updates_of(basis).items():
        for number, name in enumerate(basis.names):
            own = matrices(deltas, weight)[number]
            if own.ndim != 2 or weight not in moments[name]:
                assert "proj.weight" not in weight
                continue
            covariance = own.shape[1] * own.T @ own / ((own**2).sum() or 1)
            expected = products(deltas, weight, covariance)
            found = update.gram(moments[name][weight])
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_a_delta_that_leaves_a_weight_alone_has_no_inner_products_there():
    basis = Basis.from_deltas(loras(), clip())
    update = updates_of(basis)["visual.transformer.resblocks.0.attn.v_proj.weight"]
    assert isinstance(update, FactorUpdates)
    gram = update.gram()
    assert gram[1].abs().max() == gram[:, 1].abs().max() == 0
    assert gram[0, 0] > 0
    assert gram[2, 2] > 0


def test_modules_that_no_image_passes_are_named():
    towers = ("visual.", "transformer.")
    basis = Basis.from_deltas([lora("color", towers=towers)], clip())
    with pytest.raises(
        InputError, match=r"got none for 6: transformer\.resblocks\.0\.attn\.q_proj"
    ):
        input_moments(basis, basis.model.encode_image, [images()])
    with pytest.raises(InputError, match="at least one batch"):
        input_moments(basis, basis.model.encode_image, [])
