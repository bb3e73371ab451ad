"""Make the pictures of the panel: the tutorial's path on the stand-in application, from a new study to a prediction.

    python docs/generate_pictures.py [FOLDER]

Writes docs/images/panel-*.png and docs/images/tutorial-*.png, or into FOLDER. The contours are those of the phantoms.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("Testing/host", "Testing/panel", "VQBEGAL", "")]

import host  # noqa: E402  (first: it makes the application)

host.start()
host.load_module(ROOT / "VQBEGAL" / "VQBEGAL.py")

import driver  # noqa: E402
import numpy as np  # noqa: E402
import slicer  # noqa: E402
from clinic import ClinicScenario  # noqa: E402
from PIL import Image  # noqa: E402
from screenshot import make_screenshot, set_dark  # noqa: E402
from support import PanelScenario  # noqa: E402

from VQBEGALLib.volumes.phantom import make_subject  # noqa: E402

SIZE = (1600, 1000)
COLORS = 256
"""Of a picture's palette, which keeps the files small."""


ORGANS = ("liver", "spleen", "right kidney", "left kidney")


@functools.lru_cache
def organs(number: int, names: tuple[str, ...] = ORGANS[:1]) -> np.ndarray:
    """Return organs of a phantom of the Sample Data module, (K, J, I), the first of them 1."""
    from VQBEGALPanel.sampledata import SIZES

    return make_subject(np.random.default_rng([0, number - 1]), **SIZES, organs=names).ct_labels.voxels


class Camera:
    """Takes pictures of a scenario.

    Args:
        images: folder of the pictures.
    """

    def __init__(self, images: Path) -> None:
        super().__init__()
        self.pictures = images

    def take(self, name: str, section: str) -> None:
        """Write a picture with a section of the panel at the top."""
        driver.process(0.5)  # the views are fitted when a layout has settled
        path = self.pictures / f"{name}.png"
        make_screenshot(path, size=SIZE, top=getattr(self.ui, section))
        _make_light(path)

    def take_window(self, name: str, window: object) -> None:
        """Write a picture of a window of its own."""
        path = self.pictures / f"{name}.png"
        window.dialog.adjustSize()
        driver.screenshot(window.dialog, path)
        window.dialog.hide()
        _make_light(path)


def _make_light(path: Path) -> None:
    Image.open(path).quantize(COLORS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


class Pictures(Camera, PanelScenario):
    """Walks the tutorial and takes a picture at every stop."""

    def paint(self, request: object) -> np.ndarray:
        """Paint the phantom's organs."""
        from VQBEGALPanel.scene import segment_ids

        scene, names = self.panel.session.scene, self.panel.session.study.config.organs
        node, plane = scene.annotation(request.case), organs(int(request.case[1:]), names)[request.slice]
        volume = scene.volume(request.case, "primary")
        for value, segment in enumerate(segment_ids(node), 1):
            driver.paint(node, segment, volume, 0, request.slice, plane == value)
        return plane

    def runTest(self) -> None:  # noqa: N802
        """Take all pictures."""
        ui = self.ui
        driver.choose(ui.preset, "tiny")
        ui.studyPath.currentPath = str(self.folder / "Liver study")
        self.take("tutorial-study", "studySection")
        driver.click(ui.createStudy)
        self.add_phantoms(4)
        self.take("tutorial-cases", "casesSection")
        driver.click(ui.nextRound)
        driver.process(0.5)
        self.take("tutorial-round", "roundSection")
        self.wait_for_job()
        rows = {item.rank: organs(int(item.case[1:]))[item.slice].sum() for item in self.panel.annotating.requests()}
        best = max(rows, key=rows.get)
        driver.select_row(ui.requestsTable, best)
        self.take("tutorial-slices", "slicesSection")
        self.paint(self.panel.slices.selected())
        ui.editor.setActiveEffectByName("Draw")
        self.take("tutorial-painting", "slicesSection")
        ui.editor.setActiveEffect(None)
        self.annotate(len(rows))
        driver.click(ui.nextRound)
        self.wait_for_job()
        driver.select_row(ui.requestsTable, 0)
        self.take("panel-round", "roundSection")
        set_dark(True)
        self.take("panel-dark", "roundSection")
        set_dark(False)
        driver.click(ui.segmentAll)
        self.wait_for_job()
        ui.resultsSection.collapsed = False
        ui.slicesSection.collapsed = True
        driver.choose(ui.resultCase, "P04")
        driver.click(ui.showResult)
        self.take("tutorial-results", "roundSection")


class OrganPictures(Pictures):
    """Pictures of a study of several organs that is trained by another method."""

    def runTest(self) -> None:  # noqa: N802
        """Take all pictures."""
        ui = self.ui
        driver.choose(ui.preset, "tiny")
        ui.studyPath.currentPath = str(self.folder / "Organs")
        for name in ORGANS[1:]:
            driver.click(ui.addOrgan)
            boxes = slicer.util.findChildren(ui.organRows, className="QComboBox")
            driver.choose(max(boxes, key=lambda box: box.objectName), name.capitalize())
        ui.advancedSettings.collapsed = False
        driver.choose(ui.method, "ciml")
        self.take("tutorial-organs", "studySection")
        driver.click(ui.createStudy)
        self.add_phantoms(3, reference=False)
        driver.click(ui.nextRound)
        self.wait_for_job()
        driver.select_row(ui.requestsTable, 0)
        self.annotate(len(self.panel.annotating.requests()))
        driver.click(ui.nextRound)
        self.wait_for_job()
        ui.slicesSection.collapsed = True
        ui.resultsSection.collapsed = False
        driver.choose(ui.resultCase, "P01")
        driver.click(ui.showResult)
        driver.click(ui.showAttention)
        self.take("tutorial-attention", "roundSection")


SERIES = [("CT", "Abdomen portal venous", 96), ("CT", "Thorax", 210), ("MR", "T2 HASTE axial", 36)]
"""What a made-up server has."""


class ClinicalPictures(Camera, ClinicScenario):
    """Pictures of the export, the servers and the search in a PACS."""

    def runTest(self) -> None:  # noqa: N802
        """Take all pictures."""
        self.clinical_study(size=128, slices=32)
        self.add_server(
            "PACS radiology", "https://pacs.hospital.example/dicom-web", user="jdoe", password="secret", plain=False
        )
        self.choose("corrected", "seg")
        driver.click(self.ui.showResult)
        self.ui.exportPath.currentPath = "/home/jane/results/P01-corrected-seg.dcm"
        self.take("tutorial-export", "casesSection")
        self.servers_window()
        self.take_window("tutorial-servers", self.panel.servers_dialog.window)
        dialog = self.panel.pacs_dialog
        dialog.show()
        dialog.window.ui.pullPatient.text = "4711"
        series = [
            {"series_uid": f"1.2.{number}", "modality": modality, "description": text, "images": images}
            for number, (modality, text, images) in enumerate(SERIES)
        ]
        dialog.list_studies([{"study_uid": "1.2", "date": "20260203", "description": "Abdomen", "series": series}])
        driver.select_row(dialog.window.ui.seriesTable, 0)
        self.take_window("tutorial-pacs", dialog.window)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for number, pictures in enumerate((Pictures, OrganPictures, ClinicalPictures)):
        if number:
            host.reset()
            host.load_module(ROOT / "VQBEGAL" / "VQBEGAL.py")
        pictures(folder).debug()
