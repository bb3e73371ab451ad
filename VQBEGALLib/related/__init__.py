"""The three related systems, each a training method beside VQ-BEGAL; importing this package enters them.

CMC (Zhou et al., 2024) learns from unlabelled pairs, CIML (Shen et al., 2024) from what one modality knows and the
other does not, CMEMS (En and Guo, 2024) from a single annotated image.
"""

from VQBEGALLib.related import ciml, cmc, cmems

__all__ = ["ciml", "cmc", "cmems"]
