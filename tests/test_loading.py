"""The benchmark of loading runs alone; its arithmetic agrees with counted operations."""

import copy
import json
import multiprocessing
import time

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _demand, _photographs, loading

FORMS = [
    "one decoded file an item",
    "one decoded file an item, 2 workers",
    "ours: rows of the mapped array",
    "ours, ahead in a thread",
    "ours, 2 workers",
    "floor: rows of an array in memory",
]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_prints_tables_and_one_object_as_its_last_line(tmp_path, capsys, threads, monkeypatch):
    monkeypatch.setattr(loading, "_SECONDS", 0)
    small = ["--glyphs", "32", "--photographs", "16", "--batch", "4", "--repeats", "1"]
    assert loading.main([*small, "--json", "--out", str(tmp_path / "loading.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result == json.loads((tmp_path / "loading.json").read_text())
    for kind in ("glyphs", "photographs"):
        assert [row["form"] for row in result[kind]] == FORMS
        assert result[kind][0]["ratio"] == 1
        rates = [row["images_per_second_per_core"] for row in result[kind]]
        assert result[kind][2]["ratio"] == pytest.approx(rates[2] / rates[0])
    core = result["photographs"][2]["images_per_second_per_core"]
    for row, claim in zip(result["needed"], result["claims"][2:], strict=True):
        needed = row["utilisation"] * 989e12 / result["step_operations"] / 16
        assert claim["measured"] == row["ours_over_needed"] == pytest.approx(core / needed)
        assert claim["holds"] == (core >= needed)


def test_operations_are_those_that_torch_counts():
    config = copy.deepcopy(open_clip.get_model_config("ViT-B-32"))
    config["text_cfg"].update(layers=1, width=64, heads=1, vocab_size=100)
    with torch.device("meta"):
        tower = open_clip.model.CLIP(**config).train().requires_grad_(False).visual
    image = torch.empty(1, 3, 224, 224, device="meta")
    with FlopCounterMode(display=False) as forward:
        tower(image)
    tower.ln_pre.register_forward_hook(lambda *given: given[2].detach().requires_grad_())
    with FlopCounterMode(display=False) as step:
        tower(image).sum().backward()
    result = _demand.demand("ViT-B-32")
    assert result["forward_operations"] == forward.get_total_flops()
    assert result["step_operations"] == pytest.approx(step.get_total_flops(), rel=0.01)
    assert result["bytes_per_image"] == image.numel()


def test_photographs_weigh_and_measure_what_real_ones_do(tmp_path):
    paths = _photographs.write_photographs(tmp_path, 4)
    for path in paths:
        assert 60_000 < path.stat().st_size < 140_000
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (500, 375))
            gray = np.asarray(picture.convert("L"), dtype=float)
        spectrum = np.abs(np.fft.fft2(gray - gray.mean()))[1:64, 1:64]
        octaves = [spectrum[low : 2 * low, low : 2 * low].mean() for low in (4, 8, 16)]
        assert octaves[0] > 1.5 * octaves[1] > 2.25 * octaves[2]  # 1/f would halve each
    first = paths[0].read_bytes()
    assert first != paths[1].read_bytes()
    assert _photographs.write_photographs(tmp_path, 1)[0].read_bytes() == first


def test_the_processor_time_of_workers_counts():
    stop = multiprocessing.get_context("fork").Event()
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(0.6, stop))
    worker.start()
    own, both, deadline = time.process_time(), loading._processor_seconds(), time.monotonic() + 30
    while loading._processor_seconds() - both < 0.2 and time.monotonic() < deadline:
        time.sleep(0.02)
    both, own = loading._processor_seconds() - both, time.process_time() - own
    stop.set()
    worker.join()
    assert both - own > 0.1


def _work(seconds, stop):
    while time.process_time() < seconds:
        pass
    stop.wait(60)
