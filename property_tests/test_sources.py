"""Every source gives the images and labels that were stored, and says what is wrong with one that is not whole."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import sys
import tarfile
import threading
import types
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gdm import data
from gdm.config import DataConfig
from gdm.errors import DataError
from gdm.sources.pickled import batch
from property_tests.support import refused, same_bits

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 3, 4, 5), dtype=np.uint8)
CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())


def load(source: Path | str, **options: Any) -> data.Dataset:
    return data.load(DataConfig(source=str(source), **options))


def png(image: np.ndarray) -> bytes:
    """Return an image, (C, H, W), as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def zipped(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def stored(dataset: data.Dataset) -> np.ndarray:
    return dataset.take(np.arange(len(dataset)))


# Zips, and folders of the same layout


NAMES = [f"0000{i // 3}/img{i:08}.png" for i in range(6)]
MEMBERS = dict(zip(NAMES, map(png, COLOURS), strict=True))
LABELS = [4, 2, 4, 0, 2, 2]


def described(**content: Any) -> dict[str, bytes]:
    return {"dataset.json": json.dumps(content).encode()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_as_edm_writes_it(tmp_path: Path, method: int) -> None:
    """Labels of dataset.json go before the folders, which there only keep the folders small."""
    pairs = [[name, label] for name, label in zip(NAMES, LABELS, strict=True)]
    path = zipped(tmp_path / "a.zip", {**described(labels=pairs[::-1]), **MEMBERS}, method)
    dataset = load(path, labels=True)
    same_bits(stored(dataset), COLOURS)
    assert dataset.labels is not None and dataset.labels.dtype == np.int64
    assert (dataset.labels.tolist(), dataset.classes) == ([2, 1, 2, 0, 1, 1], ("0", "2", "4"))
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]  # nothing was extracted
    named = zipped(tmp_path / "b.zip", {**MEMBERS, **described(labels=pairs, classes=[*"abcdef"])})
    dataset = load(named, labels=True)
    assert dataset.labels is not None
    assert (dataset.labels.tolist(), dataset.classes) == (LABELS, tuple("abcdef"))


def test_a_zip_without_labels_has_those_of_its_folders(tmp_path: Path) -> None:
    hidden = {"__MACOSX/00000/._a.png": b"", "00000/.a.png": b"", "notes.txt": b"", "empty/": b""}
    dataset = load(zipped(tmp_path / "a.zip", {**MEMBERS, **hidden}), labels=True)
    assert dataset.labels is not None
    assert (dataset.labels.tolist(), dataset.classes) == ([0, 0, 0, 1, 1, 1], ("00000", "00001"))


def test_a_folder_and_a_zip_of_it_are_the_same_data(tmp_path: Path) -> None:
    labels = described(labels=[[name, 0] for name in NAMES], classes=["thing"])
    for name, content in {**MEMBERS, **labels}.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    folder, archive = (
        load(source, labels=True) for source in (tmp_path / "folder", zipped(tmp_path / "a.zip", {**labels, **MEMBERS}))
    )
    assert folder.hash == archive.hash and folder.classes == archive.classes == ("thing",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"labels": None}, ("dataset.json says that there are none", "data.labels=false")),
        ({"labels": [[NAMES[0], 1]]}, ("no label for 5 images", NAMES[1])),
        ({"labels": [[name, 0.5] for name in NAMES]}, ('expected "labels"', "a.zip/dataset.json")),
        ({"labels": [[name, 3] for name in NAMES], "classes": ["a"]}, ("expected 0 to 0, got 3 to 3",)),
        ({"labels": [[name, 0] for name in NAMES], "classes": [7]}, ('"classes": [name, ...]',)),
        ({"labels": 3}, ('expected "labels"',)),
        ({"something": 3}, ('expected {"labels": [[name, integer], ...]}',)),
    ],
)
def test_labels_that_cannot_be_understood(tmp_path: Path, content: dict[str, Any], words: tuple[str, ...]) -> None:
    path = zipped(tmp_path / "a.zip", {**MEMBERS, **described(**content)})
    with refused(DataError, *words):
        load(path, labels=True)


def test_labels_that_nobody_asked_for_need_not_be_complete(tmp_path: Path) -> None:
    assert load(zipped(tmp_path / "a.zip", {**MEMBERS, **described(labels=None)})).labels is None
    assert load(zipped(tmp_path / "a.zip", {**MEMBERS, **described(labels=[[NAMES[0], 1]])})).labels is None


def test_a_zip_that_is_not_whole(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", MEMBERS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused(DataError, "a.zip: cannot be read as a zip", "cut off"):
        load(path)
    with refused(DataError, "no images in"):
        load(zipped(path, {"a.txt": b""}))
    encrypted = bytearray(whole)
    encrypted[whole.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(DataError, match=r"a\.zip/00000/img00000000\.png: .*without a password"):
        load(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_damaged_byte_of_a_member_changes_nothing_or_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, method: int, place: int, flip: int
) -> None:
    """Wherever in a member's data it is: the checksum tells. (Deflate has bits that mean nothing.)"""
    path = zipped(tmp_path_factory.mktemp("zip") / "a.zip", {"a.png": MEMBERS[NAMES[0]]}, method)
    content = bytearray(path.read_bytes())
    start, end = 30 + len("a.png"), content.index(b"PK\1\2")
    content[start + place % (end - start)] ^= flip
    path.write_bytes(content)
    try:
        same_bits(stored(load(path)), COLOURS[:1])
    except DataError as error:
        assert "a.zip/a.png: cannot be read" in str(error)
    else:
        assert method == zipfile.ZIP_DEFLATED


# Corrupt images


def with_corrupt(folder: Path, corrupt: int = 2) -> Path:
    members = {**MEMBERS, **{f"00000/broken{i}.png": MEMBERS[NAMES[0]][:40] for i in range(corrupt)}}
    return zipped(folder / "a.zip", members)


@pytest.mark.parametrize("memory", [0.0, 1e-9])
def test_corrupt_images_are_left_out_on_request(tmp_path: Path, memory: float) -> None:
    path = with_corrupt(tmp_path, 5)
    with pytest.raises(DataError, match=r"a\.zip/00000/broken0\.png: .*data\.skip_corrupt=true"):
        load(path, memory=memory)
    with pytest.warns(UserWarning, match=r"5 of 11 images .*broken0.*broken2\.png, \.\.\.$"):
        dataset = load(path, labels=True, skip_corrupt=True, memory=memory)
    assert dataset.skipped == tuple(f"{path}/00000/broken{i}.png" for i in range(5))
    same_bits(stored(dataset), COLOURS)
    assert dataset.labels is not None and dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.hash == load(zipped(tmp_path / "b.zip", MEMBERS), labels=True).hash


def test_nothing_but_corrupt_images(tmp_path: Path) -> None:
    with refused(DataError, "got none of 1", "a.png"):
        load(zipped(tmp_path / "a.zip", {"a.png": b"text"}), skip_corrupt=True)


# In memory or not


@pytest.mark.parametrize("options", [{}, {"size": 3}, {"channels": 1}, {"workers": 3}], ids=str)
def test_images_kept_encoded_are_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    path = zipped(tmp_path / "a.zip", MEMBERS)
    kept, encoded = (load(path, labels=True, memory=memory, **options) for memory in (1.0, 1e-9))
    assert isinstance(kept.images, np.ndarray) and not isinstance(encoded.images, np.ndarray)
    assert (kept.hash, kept.shape, kept.sizes) == (encoded.hash, encoded.shape, encoded.sizes)
    indices, flip = np.array([5, 0, 0, -1, 3]), np.array([True, False, True, True, False])
    taken = encoded.take(indices, flip)
    same_bits(taken, kept.take(indices, flip))
    assert taken.flags.c_contiguous and taken.dtype == np.uint8
    for dataset in (kept, encoded):
        with pytest.raises(IndexError):
            dataset.take(np.array([6]))


@pytest.mark.parametrize("memory", [1.0, 2.5e-7, 1e-9])  # all, the grey ones, none
def test_colour_after_grey_makes_all_colourful(tmp_path: Path, memory: float) -> None:
    """The hash is right although the number of channels is known only at the end."""
    grey = COLOURS[:, :1].repeat(3, axis=1)
    images = [*grey, COLOURS[0]]
    path = zipped(tmp_path / "a.zip", {f"{i}.png": png(image) for i, image in enumerate(images)})
    dataset = load(path, memory=memory)
    assert isinstance(dataset.images, np.ndarray) == (memory == 1.0)
    same_bits(stored(dataset), np.stack(images))
    assert dataset.hash == data.Dataset(np.stack(images)).hash
    assert dataset.sizes == {(5, 4, 1): 6, (5, 4, 3): 1}


def test_several_threads_take_at_once(tmp_path: Path) -> None:
    dataset = load(zipped(tmp_path / "a.zip", MEMBERS, zipfile.ZIP_DEFLATED), memory=1e-9, workers=2)
    wrong = []

    def take(seed: int) -> None:
        for indices in np.random.default_rng(seed).integers(0, 6, (20, 4)):
            if dataset.take(indices).tobytes() != COLOURS[indices].tobytes():
                wrong.append(indices)

    threads = [threading.Thread(target=take, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_images_are_decoded_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers are inside the decoder at the same time: each waits there for the other."""
    from gdm.sources import zipped as reader

    meeting, decode = threading.Barrier(2), reader.decode

    def meet(content: bytes, name: str) -> np.ndarray:
        meeting.wait(timeout=60)
        return decode(content, name)

    members = {f"{i:03}.png": MEMBERS[NAMES[0]] for i in range(64)}  # two pieces of work
    path = zipped(tmp_path / "a.zip", members)
    monkeypatch.setattr(reader, "decode", meet)
    dataset = load(path, workers=2, memory=1e-9)
    assert len(dataset.take(np.arange(64))) == 64


# CIFAR-10


def cifar_batches(n: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 256, (6, n, 3072), dtype=np.uint8), RNG.integers(0, 10, (6, n))


def python2(value: Any) -> bytes:
    """Return a pickle of protocol 2 as Python 2 writes it: text and bytes are (SHORT_)BINSTRING, integers BININT."""
    if isinstance(value, dict):
        items = b"".join(python2(key) + python2(item) for key, item in value.items())
        return b"}q\1(" + items + b"u"
    if isinstance(value, list):
        pieces = [value[i : i + 1000] for i in range(0, len(value), 1000)]
        return b"]q\2" + b"".join(b"(" + b"".join(map(python2, piece)) + b"e" for piece in pieces)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode() + b"q\3"
    if isinstance(value, np.ndarray):
        ordered = np.asfortranarray(value) if value.flags.f_contiguous else value
        raw = ordered.tobytes(order="A")
        shape = b"".join(struct.pack("<ci", b"J", size) for size in value.shape)
        rebuild = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\1btR(K\1" + shape + b"\x86"
        kind = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        order = b"\x88" if value.flags.f_contiguous and not value.flags.c_contiguous else b"\x89"
        return rebuild + kind + order + b"T" + struct.pack("<i", len(raw)) + raw + b"q\4tb"
    return b"K" + bytes([value]) if value < 256 else struct.pack("<ci", b"J", value)


Pickler = Callable[[Any], bytes]
PICKLERS: dict[str, Pickler] = {
    "Python 2": lambda value: b"\x80\2" + python2(value) + b".",
    "protocol 2": lambda value: pickle.dumps(value, 2),
    "protocol 3": lambda value: pickle.dumps(value, 3),
    "protocol 5": lambda value: pickle.dumps(value, 5),
}


def tarball(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in reversed(members.items()):  # the real ones are in no order either
            info = tarfile.TarInfo(f"cifar-10-batches/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def cifar(folder: Path, kind: str, images: np.ndarray, labels: np.ndarray) -> Path:
    """Write a small CIFAR-10 as its authors do: five batches to train and one to test."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    if kind == "binary":
        rows = np.concatenate([labels[..., None].astype(np.uint8), images], axis=-1)
        members = {f"{name}.bin": row.tobytes() for name, row in zip(names, rows, strict=True)}
        members |= {"batches.meta.txt": "\n".join([*CLASSES, "", ""]).encode(), "readme.html": b"<p>"}
        return tarball(folder / "cifar-10-binary.tar.gz", members)
    dump = PICKLERS[kind]
    members = {
        name: dump({"data": image, "labels": label.tolist(), "batch_label": name, "filenames": ["a.png"] * len(label)})
        for name, image, label in zip(names, images, labels, strict=True)
    }
    members["batches.meta"] = dump({"num_cases_per_batch": 10000, "label_names": [*CLASSES], "num_vis": 3072})
    return tarball(folder / "cifar-10-python.tar.gz", members)


@pytest.mark.parametrize("kind", ["binary", *PICKLERS])
def test_cifar_10_in_both_its_forms(tmp_path: Path, kind: str) -> None:
    images, labels = cifar_batches(7)
    path = cifar(tmp_path, kind, images, labels)
    for split, part in (("train", slice(0, 5)), ("test", slice(5, 6))):
        dataset = load(path, labels=True, split=split)
        same_bits(stored(dataset), images[part].reshape(-1, 3, 32, 32))
        assert dataset.labels is not None and dataset.classes == CLASSES
        same_bits(dataset.labels, labels[part].ravel())
    with refused(DataError, "data.split", "train, test", "'val'"):
        load(path, split="val")


@pytest.mark.parametrize("kind", PICKLERS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [2, 1001, 2001])  # a pickle holds a list in pieces of 1000
def test_a_pickled_batch(kind: str, order: Literal["C", "F"], n: int) -> None:
    """Arrays stored by row and by column; `pickle` itself, run on what we wrote ourselves, is the oracle."""
    images = np.asarray(RNG.integers(0, 256, (n, 12), dtype=np.uint8), order=order)
    content = PICKLERS[kind]({"labels": (np.arange(n) % 300).tolist(), "data": images, "version": 1})
    expected = pickle.loads(content, encoding="bytes")
    expected = {key if isinstance(key, str) else key.decode(): value for key, value in expected.items()}
    found, labels = batch(content, 12)
    same_bits(found, expected["data"])
    same_bits(labels, expected["labels"])


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    """A batch with code in it, as a thief would write it, is read as data."""
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
            return open, (str(marker), "w")

    content = {"bomb": Bomb(), "data": np.zeros((2, 3072), np.uint8), "labels": [1, 0]}
    members = {"data_batch_1": pickle.dumps(content, 2), "batches.meta": pickle.dumps({"label_names": ["a", "b"]}, 2)}
    dataset = load(tarball(tmp_path / "a.tar.gz", members), labels=True)
    assert len(dataset) == 2 and dataset.classes == ("a", "b") and not marker.exists()
    pickle.loads(members["data_batch_1"])["bomb"].close()
    assert marker.exists()  # the bomb works


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"readme": b""}, ("a.tar.gz", "expected data_batch_1")),
        ({"data_batch_1.bin": bytes(3072)}, ("a batch of 3072 bytes", "3073")),
        ({"data_batch_1": pickle.dumps({"data": b"", "labels": []}, 2)}, ("0 arrays of images",)),
        ({"data_batch_1": pickle.dumps({"data": bytes(3072), "labels": [1, 2]}, 3)}, ("1 arrays", "2 labels")),
        ({"data_batch_1": pickle.dumps({"data": bytes(3072)}, 3)[:-200]}, ("something else", "fetch it again")),
        ({"data_batch_1.bin": bytes([7]) + bytes(3072), "batches.meta.txt": b"a\nb"}, ("expected 0 to 1, got 7 to 7",)),
    ],
)
def test_what_is_no_cifar(tmp_path: Path, members: dict[str, bytes], words: tuple[str, ...]) -> None:
    with refused(DataError, *words):
        load(tarball(tmp_path / "a.tar.gz", members))


def test_a_tarball_that_is_cut_off(tmp_path: Path) -> None:
    path = cifar(tmp_path, "binary", *cifar_batches(3))
    path.write_bytes(path.read_bytes()[:-5000])
    with refused(DataError, "cifar-10-binary.tar.gz: cannot be read as a tarball", "fetch it again"):
        load(path)


# IDX


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist(folder: Path, suffix: str, images: np.ndarray, labels: np.ndarray) -> Path:
    for part, chosen in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        for kind, array in (("images-idx3", images[chosen]), ("labels-idx1", labels[chosen])):
            content = idx(array)
            file = folder / f"{part}-{kind}-ubyte{suffix}"
            file.write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_as_a_folder_and_as_a_file(tmp_path: Path, suffix: str) -> None:
    images, labels = COLOURS[:, 0], np.array([1, 0, 2, 1, 2, 0], np.uint8)
    folder = mnist(tmp_path, suffix, images, labels)
    files = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
    for split, part in (("train", slice(0, 4)), ("test", slice(4, 6))):
        for dataset in (load(folder, labels=True, split=split), load(folder / (files[split] + suffix), labels=True)):
            same_bits(stored(dataset), images[part, None])
            assert dataset.labels is not None
            values, expected = np.unique(labels[part], return_inverse=True)
            same_bits(dataset.labels, expected)
            assert dataset.classes == tuple(map(str, values))
    with refused(DataError, "data.split", "one part", "'test'"):
        load(folder / (files["train"] + suffix), split="test")
    with refused(DataError, "data.split", "'tset'"):
        load(folder, split="tset")


def test_idx_that_is_not_whole(tmp_path: Path) -> None:
    images, labels = COLOURS[:4, 0], np.zeros(3, np.uint8)
    pictures, numbers = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    pictures.write_bytes(idx(images))
    assert load(pictures).labels is None
    with refused(DataError, "has no labels"):
        load(pictures, labels=True)
    numbers.write_bytes(idx(labels))
    with refused(DataError, "train-labels-idx1-ubyte: expected 4 labels", "(3,)"):
        load(pictures)
    with refused(DataError, "expected images, (n, H, W), got (3,)"):
        load(numbers)
    pictures.write_bytes(idx(images)[:-1])
    with refused(DataError, "expected 80 bytes", "got 79"):
        load(pictures)
    pictures.write_bytes(gzip.compress(idx(images))[:-9])
    with refused(DataError, "train-images-idx3-ubyte: cannot be read"):
        load(pictures)


# Hugging Face's datasets, in the little of it that is used


class Feature:
    def __init__(self, names: tuple[str, ...] = (), decode: bool = True) -> None:
        self.names, self.decode = names, decode


class FakeImage(Feature):
    pass


class FakeClassLabel(Feature):
    pass


class FakeTable:
    """A table of columns that knows how its images are to be decoded."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Feature]) -> None:
        self.columns, self.features = columns, features

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def cast_column(self, name: str, feature: Feature) -> FakeTable:
        return FakeTable(self.columns, {**self.features, name: feature})

    def select_columns(self, names: list[str]) -> FakeTable:
        return FakeTable({name: self.columns[name] for name in names}, self.features)

    def __getitem__(self, i: int | slice) -> dict[str, Any]:
        decoded = [name for name in self.columns if isinstance(self.features[name], FakeImage)]
        assert isinstance(i, slice) or not any(self.features[name].decode for name in decoded)
        return {name: column[i] for name, column in self.columns.items()}


class NotFoundError(Exception):
    pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str | None], Any]:
    """Put a `datasets` in place that holds what a test puts into the dict, by name and configuration."""
    held: dict[tuple[str, str | None], Any] = {}

    def load_dataset(name: str, config: str | None = None) -> Any:
        if (name, config) not in held:
            raise NotFoundError(f"no {name}")
        return held[name, config]

    fake = types.ModuleType("datasets")
    vars(fake).update(Image=FakeImage, ClassLabel=FakeClassLabel, load_dataset=load_dataset)
    vars(fake).update(load_from_disk=lambda path: held[Path(path).name, None])
    vars(fake).update(exceptions=types.SimpleNamespace(DatasetNotFoundError=NotFoundError))
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return held


def table(labels: list[int | None] = LABELS) -> FakeTable:  # type: ignore[assignment]
    cells = [{"bytes": png(image), "path": None} for image in COLOURS]
    features = {"id": Feature(), "img": FakeImage(), "label": FakeClassLabel(CLASSES)}
    return FakeTable({"id": [*range(6)], "img": cells, "label": labels}, features)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("hf:set", ("set", None)),
        ("hf:user/set", ("user/set", None)),
        ("hf:set/config", ("set", "config")),
        ("hf:user/set/config", ("user/set", "config")),
    ],
)
def test_a_data_set_of_the_hub(hub: dict[Any, Any], name: str, key: tuple[str, str | None]) -> None:
    hub[key] = {"train": table(), "test": table()}
    dataset = load(name, labels=True, split="test")
    same_bits(stored(dataset), COLOURS)
    assert dataset.labels is not None
    assert (dataset.labels.tolist(), dataset.classes) == (LABELS, CLASSES)
    with refused(DataError, "expected one of train, test, got 'tset'; did you mean 'test'?"):
        load(name, split="tset")


def test_a_data_set_saved_to_disk(tmp_path: Path, hub: dict[Any, Any]) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    hub["saved", None] = table()
    for source in (str(tmp_path / "saved"), f"hf:{tmp_path / 'saved'}"):
        assert load(source).hash == data.Dataset(COLOURS).hash
        with refused(DataError, "holds one part", "'test'"):
            load(source, split="test")


def test_what_the_hub_cannot_give(hub: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(DataError, "hf:a/b/c: cannot be read (no a/b)", "check the name"):
        load("hf:a/b/c")
    hub["text", None] = FakeTable({"id": [1]}, {"id": Feature()})
    with refused(DataError, "expected a column of images, got id"):
        load("hf:text")
    hub["hidden", None] = table([-1] * 6)
    with refused(DataError, "some of its images have no label"):
        load("hf:hidden", labels=True)
    hub["holes", None] = table()
    hub["holes", None].columns["img"][2] = None
    with pytest.raises(DataError, match=r"image 2 of hf:holes \(train\): expected an image"):
        load("hf:holes")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with refused(DataError, "hf:set: reading it needs the package datasets; pip install datasets"):
        load("hf:set")


# Which source


def test_a_typo_in_a_path_suggests_its_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "faces.zip", MEMBERS)
    for typo in ("facse.zip", "faces.zip.", "faecs.zip/deeper/still"):
        with refused(DataError, "does not exist", "did you mean 'faces.zip'?", "a zip of images, an .npz file"):
            load(tmp_path / typo)
    monkeypatch.chdir(tmp_path)
    with refused(DataError, "did you mean 'faces.zip'?"):
        load("face.zip")


def test_a_folder_of_the_name_of_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither hides the other: a name of both is refused, and a path is no name."""
    monkeypatch.chdir(tmp_path)
    assert load("digits").shape == (1, 8, 8)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "one.png").write_bytes(png(COLOURS[0]))
    with refused(DataError, "'digits'", "scikit-learn", "./digits"):
        load("digits")
    same_bits(stored(load("./digits"))[0], COLOURS[0])


def test_a_split_of_what_has_none(tmp_path: Path) -> None:
    with refused(DataError, "data.split", "a zip of images, which has one part, got 'test'"):
        load(zipped(tmp_path / "a.zip", MEMBERS), split="test")


def test_whole_data_is_read_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(zipped(tmp_path / "a.zip", MEMBERS), skip_corrupt=True).skipped == ()
