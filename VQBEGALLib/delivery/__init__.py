"""From a study to files and PACS, and from PACS into a study."""

from VQBEGALLib.delivery.checklist import Check, preflight, ready
from VQBEGALLib.delivery.exporting import Choice, Exported, export
from VQBEGALLib.delivery.formats import DICOM, FORMATS, SUFFIXES, Format
from VQBEGALLib.delivery.outbox import Item, remove, waiting
from VQBEGALLib.delivery.pulling import chosen, pull
from VQBEGALLib.delivery.removing import remove_cases
from VQBEGALLib.delivery.results import WHATS, What
from VQBEGALLib.delivery.sending import Sent, push, redirect, resend
from VQBEGALLib.delivery.sources import remember_sources

__all__ = [
    "DICOM",
    "FORMATS",
    "SUFFIXES",
    "WHATS",
    "Check",
    "Choice",
    "Exported",
    "Format",
    "Item",
    "Sent",
    "What",
    "chosen",
    "export",
    "preflight",
    "pull",
    "push",
    "ready",
    "redirect",
    "remember_sources",
    "remove",
    "remove_cases",
    "resend",
    "waiting",
]
