"""Tasks of the shared world of glyphs and of a folder of gray pictures."""

from datamodules.tasks import Task, TasksDataModule
from tests.pair_folder import rows_of, write_pairs

NAMES = ("glyphs/color", "glyphs/shape", "folder/shape")
SPLITS = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6


def write_own(folder):
    """Thirty gray pictures in three splits; every fourth one shows no shape."""
    colors, shapes = ("red", "orange"), ("star", "arrow")
    items = [
        (f"{n}", split, colors[n % 2], shapes[n % 3 % 2] if n % 4 else "")
        for n, split in enumerate(SPLITS)
    ]
    return write_pairs(folder, rows_of(*items))


def open_tasks(world, own, names=NAMES, prepare=True, **options):
    """The named tasks in one data module, after `setup`."""
    drawn = {"root": world / "data", "dictionary": world / "dictionary.json"}
    tasks = [
        Task(attribute, **(drawn if source == "glyphs" else own))
        for source, attribute in (name.split("/") for name in names)
    ]
    data = TasksDataModule(tasks, **{"image_size": 64, "batch_size": 24} | options)
    if prepare:
        data.prepare_data()
    data.setup("fit")
    return data
