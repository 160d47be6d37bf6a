"""Checkpoints of PyTorch are read without it: views by their strides, and nothing else that a pickle could name."""

import os
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tfrec.encoders.images.torch_file import read_torch_file
from tfrec.errors import InvalidInput

MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    """A storage, which PyTorch's pickles refer to by a persistent id."""

    def __init__(self, key, kind, numbers):
        self.key, self.kind, self.numbers = key, kind, numbers


class Tensor:
    """A view of a storage, pickled as PyTorch does."""

    def __init__(self, storage, offset, shape, strides):
        self.parts = storage, offset, shape, strides, False, OrderedDict()

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return "storage", getattr(sys.modules["torch"], value.kind), value.key, "cpu", len(value.numbers), None


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a state dict in the format of before 1.6, with modules that are called as PyTorch's."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))
    exec("def _rebuild_tensor_v2(*parts): ...", utils.__dict__)
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(state, storages, magic=MAGIC):
        path = tmp_path / "model.pth"
        with path.open("wb") as file:
            for value in (magic, 1001, {"little_endian": True}):
                pickle.dump(value, file, protocol=2)
            Pickler(file, protocol=2).dump(state)
            pickle.dump([storage.key for storage in storages], file, protocol=2)
            for storage in storages:
                file.write(len(storage.numbers).to_bytes(8, "little") + storage.numbers.tobytes())
        return path

    return write


@pytest.fixture
def floats():
    return Storage("7", "FloatStorage", np.arange(12, dtype="<f4"))


def test_views_are_read_by_their_strides(written, floats):
    count = Storage("8", "LongStorage", np.array([5], "<i8"))
    state = OrderedDict(whole=Tensor(floats, 0, (3, 4), (4, 1)), turned=Tensor(floats, 4, (4, 2), (1, 4)))
    state["count"] = Tensor(count, 0, (), ())
    tensors = read_torch_file(written(state, [floats, count]))
    assert_array_equal(tensors["whole"], np.arange(12).reshape(3, 4))
    assert_array_equal(tensors["turned"], [[4, 8], [5, 9], [6, 10], [7, 11]])
    assert tensors["count"] == 5 and tensors["whole"].dtype == np.float32


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(9, (4,), (1,)), (0, (3, 5), (4, 1)), (-1, (2,), (1,)), (11, (2,), (-1,))]
)
def test_a_view_outside_its_storage_is_refused(written, floats, offset, shape, strides):
    with pytest.raises(InvalidInput, match="outside its storage"):
        read_torch_file(written({"view": Tensor(floats, offset, shape, strides)}, [floats]))


class Harm:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_that_names_anything_else_is_refused(written, floats):
    with pytest.raises(InvalidInput, match="it names (posix|os|nt).system"):
        read_torch_file(written({"harm": Harm()}, [floats]))


def test_damaged_files_are_refused(written, floats, tmp_path):
    path = written({"view": Tensor(floats, 0, (12,), (1,))}, [floats])
    for content in (path.read_bytes()[:-4], path.read_bytes()[:60], b"PK\3\4", b""):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match="not a checkpoint of PyTorch before 1.6"):
            read_torch_file(path)
    with pytest.raises(InvalidInput, match="another format"):
        read_torch_file(written({}, [], magic=3))
