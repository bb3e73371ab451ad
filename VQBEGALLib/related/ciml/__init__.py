"""CIML: complementary information mutual learning (Shen et al., 2024)."""

from VQBEGALLib.related.ciml.message import Message, MessagePassing, divergence
from VQBEGALLib.related.ciml.network import CIML, UNKNOWN, Attention
from VQBEGALLib.related.ciml.objective import ciml_loss

__all__ = ["CIML", "UNKNOWN", "Attention", "Message", "MessagePassing", "ciml_loss", "divergence"]
