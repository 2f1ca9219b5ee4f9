"""gdm: groupwise diffusion models on NumPy, PyTorch and JAX."""

from gdm import backends as backends
from gdm import latents as latents
from gdm import oracle as oracle
from gdm.basis import Basis as Basis
from gdm.errors import GDMError as GDMError
from gdm.flow import complete as complete
from gdm.flow import draw_latents as draw_latents
from gdm.flow import encode as encode
from gdm.flow import generate as generate
from gdm.likelihood import log_likelihood as log_likelihood
from gdm.loading import load as load
from gdm.objective import direction_loss as direction_loss
from gdm.objective import interpolate as interpolate
from gdm.partition import Partition as Partition
from gdm.schedule import Schedule as Schedule
from gdm.version import VERSION as __version__  # noqa: F401
