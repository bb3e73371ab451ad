"""Settings of the related training methods, a file each; :mod:`VQBEGALLib.config` joins them with all others."""

from VQBEGALLib.methods.ciml import CIMLSettings
from VQBEGALLib.methods.cmc import CMCSettings
from VQBEGALLib.methods.cmems import CMEMSSettings

__all__ = ["CIMLSettings", "CMCSettings", "CMEMSSettings"]
