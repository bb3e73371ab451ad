"""To a PACS and back: servers, passwords, and what can be asked of them over DICOMweb and the DICOM protocol."""

from VQBEGALLib.pacs.connection import Connection, FoundSeries, FoundStudy, Instance, connect
from VQBEGALLib.pacs.profiles import find_server, load_servers, remove_server, save_server
from VQBEGALLib.pacs.secrets import forget, keyring_available, remember, remembered
from VQBEGALLib.pacs.server import Secret, Server

__all__ = [
    "Connection",
    "FoundSeries",
    "FoundStudy",
    "Instance",
    "Secret",
    "Server",
    "connect",
    "find_server",
    "forget",
    "keyring_available",
    "load_servers",
    "remember",
    "remembered",
    "remove_server",
    "save_server",
]
