"""VQ-BEGAL: train a liver segmentation network on your own CT and MR by annotating as few slices as possible."""

__version__ = "0.1.0"
