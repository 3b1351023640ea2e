"""Three birds in the layout of CUB-200-2011."""

from PIL import Image

FILES = {
    "images.txt": "2 001.Tiny_Owl/Tiny_Owl_0002.jpg\n3 002.Big_Owl/B_1.jpg\n"
    "1 001.Tiny_Owl/T_1.jpg\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n",
    "classes.txt": "1 001.Tiny_Owl\n2 002.Big_Owl\n",
    "train_test_split.txt": "1 1\n2 0\n3 0\n",
    "bounding_boxes.txt": "1 1.0 2.0 8.0 6.0\n2 0 0 4 4\n3 2.5 0 3 9\n",
    "attributes.txt": "1 has_bill_shape::curved_(up_or_down)\n2 has_primary_color::grey\n"
    "3 has_size::small_(5_-_9_in)\n",
    "attributes/certainties.txt": "1 not visible\n2 guessing\n3 probably\n4 definitely\n",
    "attributes/image_attribute_labels.txt": "1 1 1 4 2.5\n1 2 0 3 0.1\n1 3 0 1 9\n2 1 1 2 1\n"
    "2 2 1 3 0 1.5\n2 3 0 4 0\n",  # the last line but one has a field too many, as official ones
    "attributes/class_attribute_labels_continuous.txt": "100.0 49.0 0\n50 75 1.5\n",
}
LABELS = "attributes/image_attribute_labels.txt"
PERCENT = "attributes/class_attribute_labels_continuous.txt"
SMALL = {name: text.encode() for name, text in FILES.items()}


def write(root, files=FILES):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def with_images(root):
    for name in ("001.Tiny_Owl/Tiny_Owl_0002.jpg", "002.Big_Owl/B_1.jpg", "001.Tiny_Owl/T_1.jpg"):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 10), (200, 0, 0)).save(root / "images" / name)
    return root
