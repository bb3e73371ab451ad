"""The panel in 3D Slicer: widgets over a session, a session over the study of VQBEGALLib."""
