"""VQBEGAL: train a segmentation network on your own CT and MR by annotating as few slices as possible."""

import slicer
import vtk  # noqa: F401  (the application's own modules expect it to be loaded)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class VQBEGAL(ScriptedLoadableModule):
    """What the module finder shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("VQBEGAL")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The VQBEGAL contributors"]
        parent.helpText = _(
            "Trains a segmentation network on your own CT and MR. In each round it shows the few slices that teach the "
            "network most; annotate them in the embedded Segment Editor, and train again."
        )
        parent.acknowledgementText = _("VQ-BEGAL: vector quantisation and bimodal entropy-guided active learning.")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():  # noqa: N802
    """Offer the phantom pair and public volumes in the Sample Data module."""
    from VQBEGALPanel.sampledata import register

    register()


class VQBEGALWidget(ScriptedLoadableModuleWidget):
    """Hosts the panel and hands the application's calls on to it."""

    def setup(self):
        """Build the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        from VQBEGALPanel.paths import ensure_library

        ensure_library()
        from VQBEGALPanel.panel import Panel

        self.logic = VQBEGALLogic()
        self.panel = Panel(self)

    def enter(self):
        """Called whenever the module is shown."""
        self.panel.enter()

    def exit(self):
        """Called whenever another module is shown."""
        self.panel.exit()

    def cleanup(self):
        """Called when the application quits and before the module is reloaded."""
        if hasattr(self, "panel"):
            self.panel.cleanup()

    def onReload(self):  # noqa: N802
        """Load the panel's own modules anew as well."""
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] in ("VQBEGALPanel", "VQBEGALLib")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class VQBEGALLogic(ScriptedLoadableModuleLogic):
    """The work is done by VQBEGALPanel.session; the application asks every module for a logic."""


class VQBEGALTest(ScriptedLoadableModuleTest):
    """What the button "Reload and Test" runs."""

    def runTest(self):  # noqa: N802
        """Set the module up, and see that it says what can be done next."""
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("VQBEGAL")
        panel = slicer.modules.vqbegal.widgetRepresentation().self().panel
        self.assertTrue(panel.ui.status.text)
        self.delayDisplay(_("The panel is up."))
