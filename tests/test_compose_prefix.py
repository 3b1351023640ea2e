"""The first blocks kept and run once: the same numbers as without."""

import copy

import pytest
import torch

from composition.prefix import Prefix, learning
from datamodules.errors import InputError
from lightning_modules.class_token import read_class_token_only
from tests.compose_runs import Losses, fit, open_data, prepared, trainer
from tests.compose_samples import clip, compose, dense, denses, images, loras, loss_of, relative

KINDS = [(loras, "block"), (loras, "head"), (loras, "rank"), (denses, "layer")]
kinds = pytest.mark.parametrize(("deltas", "granularity"), KINDS)


@pytest.fixture(scope="module")
def data(world):
    return open_data(world)


def short():
    model = clip(torch.float64)
    read_class_token_only(model)
    return model


@kinds
def test_learning_behind_the_tokens_gives_the_gradient_of_the_whole_tower(deltas, granularity):
    x = images(dtype=torch.float64)
    whole = compose(deltas(), granularity, model=short(), dtype=torch.float64)
    expected = whole.encode_image(x)
    loss_of(expected).backward()
    cut = compose(deltas(), granularity, model=short(), dtype=torch.float64)
    prefix = Prefix(cut, 1)
    for embed in (cut.encode_image, lambda image: prefix(prefix.tokens(image))):
        cut.coefficients.grad = None
        found = embed(x)
        loss_of(found).backward()
        assert relative(found, expected) < 1e-12
        kept, gradient = cut.kept, cut.coefficients.grad
        assert kept.any()
        assert not gradient[kept].any()
        assert relative(gradient[~kept], whole.coefficients.grad[~kept]) < 1e-12


def test_no_gradient_runs_through_the_first_blocks():
    cut = compose(loras(), "block")
    Prefix(cut, 1)
    first, last = cut.model.visual.transformer.resblocks
    seen = {}
    for name, block in (("first", first), ("last", last)):
        block.register_forward_hook(
            lambda module, args, out, name=name: seen.update({name: out.requires_grad})
        )
    cut.encode_image(images())
    assert seen == {"first": False, "last": True}


def test_what_is_kept_is_known_by_name():
    cut = compose([*loras(), dense("material")], "block")
    Prefix(cut, 1)
    first = ("conv1", "class_embedding", "positional_embedding", "ln_pre", "resblocks.0.")
    names = cut.block_names
    assert cut.kept.shape == cut.coefficients.shape
    for row, delta in enumerate(cut.delta_names):
        for column, name in enumerate(names):
            is_first = any(part in name for part in first)
            if delta == "material":
                assert cut.kept[row, column] == is_first, name
            else:
                assert cut.kept[row, column] <= is_first, name


def test_a_coefficient_shared_with_earlier_weights_is_kept_everywhere():
    cut = compose(denses(), "layer")
    Prefix(cut, 1)
    assert cut.block_names[0] == "visual", "of the embeddings and of the last projection"
    assert cut.kept[:, 0].all()
    loss_of(cut.encode_image(images())).backward()
    assert not cut.coefficients.grad[:, 0].any()
    assert learning(cut).grad_fn is not None


def test_all_blocks_keep_only_the_embeddings():
    cut = compose(loras(), "block")
    Prefix(cut, 2)
    assert not cut.kept.any()


def test_a_copy_keeps_the_same_coefficients():
    cut = compose(loras(), "block")
    Prefix(cut, 1)
    twin = copy.deepcopy(cut)
    loss_of(twin.encode_image(images())).backward()
    assert not twin.coefficients.grad[twin.kept].any()
    assert twin.coefficients.grad[~twin.kept].any()


@pytest.mark.parametrize(("blocks", "granularity"), [(1, "global"), (0, "block"), (3, "block")])
def test_cuts_that_leave_nothing_are_refused(blocks, granularity):
    with pytest.raises(InputError) as error:
        Prefix(compose(loras(), granularity), blocks)
    assert str(error.value) == (
        "--model.last_blocks 1 leaves nothing to learn: no delta changes these blocks, or "
        "granularity global has them share every coefficient with earlier ones. Take more blocks, "
        "or another --model.granularity."
        if granularity == "global"
        else f"--model.last_blocks is {blocks}, expected 1 to 2, the number of blocks of the image "
        "tower."
    )


class Whole(Losses):
    """Runs every training step from the images."""

    def on_train_start(self, trainer, pl_module):
        pl_module.prefix.tasks.clear()


def test_a_fit_from_kept_tokens_is_that_from_images(world, data):
    seen, ends = [], []
    for watch in (Losses(), Whole()):
        composer = prepared(world, data, last_blocks=1, penalty=0.1, granularity="block")
        before = composer.composition.coefficients.detach().clone()
        calls = []
        block = composer.backbone.model.visual.transformer.resblocks[0]
        block.register_forward_hook(lambda *_, calls=calls: calls.append(torch.is_grad_enabled()))
        trainer(3, callbacks=[watch]).fit(composer, data)
        after, kept = composer.composition.coefficients.detach(), composer.composition.kept
        assert torch.equal(after[kept], before[kept])
        assert (after[~kept] != before[~kept]).all()
        assert any(calls) == isinstance(watch, Whole), "first blocks run in no training step"
        seen.append(watch)
        ends.append(after)
    tokens, whole = seen
    assert tokens.losses == pytest.approx(whole.losses, rel=1e-5)
    assert relative(*ends) < 1e-4
    for mine, theirs in zip(tokens.scores, whole.scores, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-6)


def test_augmented_views_take_the_whole_tower(world, data):
    composer = prepared(world, data, last_blocks=1, objective="fixmatch", granularity="block")
    seen = fit(composer, data, epochs=1)
    assert not composer.prefix.tasks
    assert seen.losses
    kept = composer.composition.kept
    assert (composer.composition.coefficients[kept] == 0.5).all()


def test_decay_of_what_is_kept_is_refused(world, data):
    with pytest.raises(InputError, match=r"--model\.weight_decay pulls all coefficients to zero"):
        prepared(world, data, last_blocks=1, weight_decay=0.1)
