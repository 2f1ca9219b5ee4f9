"""Edit latents of a run by their groups: the figures of Sec. 4, for generated images and for your own.

Every edit takes --samples (generated images, by number), --images (which it encodes) or --latents (of `gdm encode`),
and writes a picture with named rows and columns, and the arrays beside it.

  gdm edit interpolate runs/faces --samples 0,1               Fig. 3: from one to the other, band by band
  gdm edit reconstruct runs/faces --images photos/            Fig. 4b: from the first groups alone
  gdm edit traverse runs/faces --elements 0 --elements 3      Fig. 6 and 8: one latent over [-3, 3]
  gdm edit swap runs/faces --images me.png you.png            Fig. 7: each band of one in the other
  gdm edit resample runs/faces --images me.png --fixed 0:100  Fig. 9: variations
  gdm edit resample runs/blocks --groups r1c1                 Fig. 1c: one block drawn anew
"""

from __future__ import annotations

from types import ModuleType

from gdm.commands.edit import interpolate, reconstruct, resample, swap, traverse

COMMANDS: dict[str, ModuleType] = {
    "interpolate": interpolate,
    "swap": swap,
    "traverse": traverse,
    "resample": resample,
    "reconstruct": reconstruct,
}
