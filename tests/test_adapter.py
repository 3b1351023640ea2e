"""`AttributeAdapter` without a trainer: identity at the start, what trains, what stays."""

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch

from datamodules.annotations import Annotation, annotations_of
from datamodules.attribute import AttributeDataModule
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.errors import InputError
from lightning_modules.adapted import AdaptedClip
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.backbone import load_backbone
from lightning_modules.checkpoints import check_origin
from lightning_modules.memory import BaseMemory, remember
from lightning_modules.schedule import derived_seed, warmup_cosine


@pytest.fixture(scope="module")
def data(world):
    module = AttributeDataModule(
        "color", root=world / "data", dictionary=world / "dictionary.json", batch_size=32
    )
    module.setup()
    return module


@pytest.fixture
def backbone(world):
    return load_backbone(str(world / "tiny"), "random")


@pytest.fixture
def adapter(data, backbone):
    L.seed_everything(0, verbose=False)
    module = AttributeAdapter(r=4)
    module.prepare(data, backbone)
    return module


@pytest.fixture
def batch(data):
    return next(iter(data.train_dataloader()))


def several_values(num_values=4, *, negatives=True):
    """A data module of 24 images that show one or two values each, not exclusive."""
    generator = np.random.default_rng(0)
    values = [f"v{number}" for number in range(num_values)]
    rows = []
    for image in range(24):
        split = ("train", "validation", "test")[image % 3]
        shown = set(generator.choice(num_values, 2, replace=False).tolist())
        for number, value in enumerate(values):
            if negatives or number in shown:
                rows.append(Annotation(f"{image}.png", split, "mark", value, int(number in shown)))
    entries = tuple(Value(value, value, 6, examples=(f"a {value} thing",)) for value in values)
    module = AttributeDataModule("mark", source="folder")
    pixels = generator.integers(0, 255, (24, 64, 64, 3), dtype=np.uint8)
    module._source = SimpleNamespace(
        annotations=annotations_of(rows),
        pixels=lambda size, items, crops: pixels,
        data_hash="d",
        root=".",
    )
    module._dictionary = Dictionary("folder", "0" * 64, (Attribute("mark", entries),))
    return module


def test_adapter_is_identity_at_init(adapter, world, batch):
    plain = load_backbone(str(world / "tiny"), "random")
    pixels = adapter.clip.pixels(batch["image"])
    with torch.no_grad():
        adapted = adapter.clip.adapted.encode_image(pixels)
        torch.testing.assert_close(adapted, plain.model.encode_image(pixels), atol=1e-5, rtol=0)
        # Bit by bit, where the last block is shortened in both (see class_token).
        embedding = adapter.encode_image(batch["image"])
        assert torch.equal(embedding, AdaptedClip(plain, plain.model).encode_image(batch["image"]))
        assert torch.equal(embedding, adapter.clip.encode_base(batch["image"]))


def test_logits_are_scaled_cosines_of_images_and_prompts(adapter, data, batch, backbone):
    with torch.no_grad():
        logits = adapter.logits(batch["image"])
        image = adapter.encode_image(batch["image"])[0]
        prompts = data.prompts("color")[3]
        text = backbone.model.encode_text(backbone.tokenizer(prompts))
        text = (text / text.norm(dim=1, keepdim=True)).mean(0)
        expected = backbone.model.logit_scale.exp() * torch.cosine_similarity(image, text, dim=0)
    assert float(logits[0, 3]) == pytest.approx(float(expected), rel=1e-5)


def test_frozen_base_is_bitwise_unchanged_and_every_trainable_tensor_moves(adapter, batch):
    before = {name: each.clone() for name, each in adapter.named_parameters()}
    trainable = [each for each in adapter.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    adapter._trainer, adapter.log = None, lambda *args, **kwargs: None
    for _ in range(3):
        optimizer.zero_grad()
        adapter.training_step(batch, 0).backward()
        optimizer.step()
    for name, value in adapter.named_parameters():
        assert torch.equal(value, before[name]) != value.requires_grad, name


def test_training_mode_reaches_the_dropout_of_the_adapter_only(data, backbone):
    module = AttributeAdapter(r=4, lora_dropout=0.5)
    module.prepare(data, backbone)
    module.train()
    training = [name for name, each in module.clip.adapted.named_modules() if each.training]
    assert training
    assert all(".lora_dropout" in name for name in training)


def test_checkpoint_holds_trainable_tensors_only(adapter):
    names = set(adapter.state_dict())
    assert names == {name for name, each in adapter.named_parameters() if each.requires_grad}
    assert len(names) == 2 * 2 * 4
    adapter.strict_loading = True
    assert adapter.strict_loading is False


def test_checkpoint_of_other_tensors_is_refused(adapter):
    content = {"aspectra": adapter.origin(), "state_dict": {"strange": torch.zeros(1)}}
    with pytest.raises(InputError, match="the adapter has other tensors than the checkpoint"):
        adapter.on_load_checkpoint(content)
    with pytest.raises(InputError, match="expected a checkpoint of the data abc, got one of None"):
        check_origin({"state_dict": {}}, {"data": "abc"}, set())


def test_several_values_an_image_choose_the_sigmoid_and_learn_its_bias(backbone):
    data = several_values()
    module = AttributeAdapter(r=4)
    module.prepare(data, backbone)
    assert (module.objective, module.main_metric) == ("sigmoid", "map")
    assert "bias" in module.state_dict()
    batch = next(iter(data.train_dataloader()))
    module._trainer, module.log = None, lambda *args, **kwargs: None
    module.training_step(batch, 0).backward()
    assert module.bias.grad.abs() > 0


def test_an_open_vocabulary_without_negatives_chooses_the_contrastive_loss(backbone):
    data = several_values(60, negatives=False)
    module = AttributeAdapter(r=4)
    module.prepare(data, backbone)
    assert (module.objective, module.main_metric) == ("contrastive", "map")
    batch = next(iter(data.train_dataloader()))
    module._trainer, module.log = None, lambda *args, **kwargs: None
    assert module.training_step(batch, 0).isfinite()


def test_balanced_classes_weigh_rare_values_more(data, backbone):
    module = AttributeAdapter(r=4, class_balanced=True)
    module.prepare(data, backbone)
    count = torch.from_numpy(data.labels("color").label[data.members("train")]).sum(0)
    assert module.class_weight[count.argmin()] > module.class_weight[count.argmax()]


def test_both_towers_train_text_and_change_the_value_embeddings(data, backbone, batch):
    module = AttributeAdapter(r=4, towers="both")
    module.prepare(data, backbone)
    before = module.text_embedding().detach()
    torch.testing.assert_close(before, module.value_embedding_VD)
    module._trainer, module.log = None, lambda *args, **kwargs: None
    module.training_step(batch, 0).backward()
    text = [p for n, p in module.named_parameters() if p.requires_grad and ".visual." not in n]
    assert text
    assert any(p.grad.abs().max() > 0 for p in text)


def test_penalty_for_other_attributes_is_zero_at_the_start_and_grows(adapter, batch):
    logged = {}
    adapter.hparams["augment"] = False  # the base is asked about the image as it is
    adapter._trainer = None
    adapter.log = lambda name, value, **kwargs: logged.update({name: float(value)})
    adapter.training_step(batch, 0)
    assert logged["keep/train"] == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for name, value in adapter.named_parameters():
            if ".lora_B." in name:
                value.normal_()
    adapter.training_step(batch, 0)
    assert logged["keep/train"] > 1e-3


def test_remembered_base_embeddings_are_those_of_the_base(adapter, data, batch):
    trainer = SimpleNamespace(
        global_rank=0,
        world_size=1,
        precision_plugin=L.pytorch.plugins.Precision(),
        estimated_stepping_batches=4,
        accumulate_grad_batches=1,
    )
    adapter._trainer = trainer
    memory = remember(adapter, adapter.clip, data)
    torch.testing.assert_close(
        memory[batch["index"]], adapter.clip.encode_base(batch["image"]), atol=1e-6, rtol=0
    )
    again = remember(adapter, adapter.clip, data)
    assert torch.equal(memory.embedding_MD, again.embedding_MD)
    trainer.estimated_stepping_batches = 3  # 96 of 128 images
    assert remember(adapter, adapter.clip, data) is None


def test_memory_finds_images_by_their_number():
    members = np.array([2, 5, 9])
    memory = BaseMemory(members, torch.tensor([[2.0], [5.0], [9.0]]))
    assert memory[torch.tensor([9, 2])].flatten().tolist() == [9.0, 2.0]


def test_rate_warms_up_then_falls_to_zero():
    rates = [warmup_cosine(step, warmup_steps=5, num_steps=100) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates.index(max(rates)) == 4
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert warmup_cosine(10**6, warmup_steps=0, num_steps=float("inf")) == 1


def test_seeds_differ_by_epoch_and_process_and_come_back():
    seeds = {derived_seed(0, epoch, rank) for epoch in range(20) for rank in range(4)}
    assert len(seeds) == 80
    assert derived_seed(1, 2, 3) == derived_seed(1, 2, 3)
