"""CIML: complementary information mutual learning (Shen et al., 2024)."""

from VQBEGALLib.related.ciml.network import CIML
from VQBEGALLib.related.ciml.objective import ciml_loss

__all__ = ["CIML", "ciml_loss"]
