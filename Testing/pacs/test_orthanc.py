"""The server that the other tests use is the strict one that they mean."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from Testing.pacs.orthanc import Orthanc


def test_it_answers_its_user_only_and_survives_a_kill(orthanc: Orthanc):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        direct.open(f"{orthanc.url}/studies", timeout=30)
    assert refused.value.code == 401
    refused.value.close()
    assert orthanc.rest("/dicom-web/studies") == []
    assert orthanc.count() == 0
    orthanc.kill()
    orthanc.start()
    assert "dicom-web" in orthanc.rest("/plugins")
