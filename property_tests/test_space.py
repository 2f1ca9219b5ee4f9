"""Laws of network.space (Fig. 10): in frequency space the same U-Net is wrapped in the change of basis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gdm import Schedule, architecture, backends
from gdm.conditioning import plane_count
from gdm.config import NetworkConfig, from_dict
from gdm.errors import ConfigError
from property_tests.runs import BACKENDS
from property_tests.support import agree, arrays, refused

SHAPE = (2, 4, 6)
BANDS = Schedule.bands(SHAPE, (3, 11))
PIXELS = Schedule.from_labels(BANDS.partition.labels)  # the same groups, of pixels
SPEC = NetworkConfig(channels=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.0)
FREQUENCY = replace(SPEC, space="frequency")


def shaken(backend: Any, network: Any) -> dict[str, np.ndarray]:
    """Return parameters of which none is zero."""
    new = backend.export_parameters(network)
    return {key: value + 0.1 * arrays(number, *value.shape) for number, (key, value) in enumerate(new.items())}


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("conditioning", ["map", "film"])
def test_frequency_space_is_the_same_network_in_other_coordinates(on: str, conditioning: Any) -> None:
    """u = U f(U^T x_t), where f is the network of the same groups in pixels: it knows nothing of the basis."""
    backend = backends.get(on, "cpu", "float64")
    ours = backend.build(replace(FREQUENCY, conditioning=conditioning), BANDS)
    plain = backend.build(replace(SPEC, conditioning=conditioning), PIXELS)
    for network in (ours, plain):
        backend.import_parameters(network, shaken(backend, plain))
    x, alpha = (backend.asarray(values) for values in (arrays(1, 3, *SHAPE), abs(np.sin(arrays(2, 3, 3)))))
    expected = BANDS.basis.synthesize(plain(BANDS.basis.analyze(x), alpha))
    agree(backend.to_numpy(ours(x, alpha)), backend.to_numpy(expected), 1e-12)
    elsewhere = backend.build(replace(SPEC, conditioning=conditioning), BANDS)
    if conditioning == "film":  # the same parameters, seen from pixels, are another function
        backend.import_parameters(elsewhere, shaken(backend, plain))
        assert np.abs(backend.to_numpy(elsewhere(x, alpha)) - backend.to_numpy(expected)).max() > 0.1


def test_planes_in_the_basis_are_the_diagonal() -> None:
    """Frequencies have a place in an image of coordinates: one plane for all bands, where pixels need one per band."""
    assert plane_count(BANDS) == 3 and plane_count(BANDS, in_basis=True) == 1
    assert architecture.of(FREQUENCY, BANDS).in_channels == 3 and architecture.of(SPEC, BANDS).in_channels == 5


def test_bfloat16_leaves_the_change_of_basis_alone() -> None:
    """With a network that predicts its bias, products rounded to 8 bits show nowhere: U b is float32's."""
    backend = backends.get("torch", "cpu", "bfloat16")
    network = backend.build(FREQUENCY, BANDS)
    zeros = {key: np.zeros_like(value) for key, value in backend.export_parameters(network).items()}
    bias = np.array([1.0, -0.5], np.float32)
    backend.import_parameters(network, {**zeros, "unet.head.bias": bias})
    with backend.computing():
        u = network(backend.asarray(arrays(1, 1, *SHAPE)), backend.asarray(np.ones((1, 3))))
    expected = BANDS.basis.synthesize(np.broadcast_to(bias[None, :, None, None], (1, *SHAPE)).astype(np.float64))
    agree(backend.to_numpy(u), expected, 1e-6)


def test_frequency_space_needs_frequencies() -> None:
    with refused(ConfigError, "network.space", "'bands'"):
        architecture.of(FREQUENCY, PIXELS)
    assert from_dict({"network": {"space": "frequency"}}).network.space == "frequency"
    with refused(ConfigError, "network.space", "did you mean 'frequency'"):
        from_dict({"network": {"space": "frequencies"}})
