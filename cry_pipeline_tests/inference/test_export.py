"""The graph is the pipeline: equal to torch and to the offline predictions, at lengths it was not traced at."""

import shutil

import numpy as np
import onnx
import pytest

from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.inference import export as module
from cry_pipeline.inference.export import ExportError, FoldEnsemble, Request, export_run
from cry_pipeline.inference.graphs import open_graph, run_graph
from cry_pipeline.training.calibration import Recalibration
from cry_pipeline_tests.inference.conftest import FEATURES, Made, expected_of


def test_graph_says_of_audio_files_what_each_member_says_of_stored_features(made: Made) -> None:
    graph = open_graph(made.graph)
    assert made.difference < 1e-5
    for recording, file in made.files.items():
        mean, members = run_graph(graph, load_samples(file, FEATURES.sample_rate_hz))
        rows = made.rows.take([recording])
        expected = expected_of(made, rows)[:, 0]
        np.testing.assert_allclose(members, expected, atol=1e-5)
        np.testing.assert_allclose(mean[0], np.mean(expected, axis=0), atol=1e-5)


def test_graph_that_differs_from_torch_is_refused(made: Made) -> None:
    other = FoldEnsemble(FEATURES, made.members, [Recalibration.none(2)] * 2)
    with pytest.raises(ExportError, match="differs from torch"):
        module._check(other, made.graph, FEATURES.sample_rate_hz)


def test_graph_holds_its_weights_and_no_path_of_the_machine_that_made_it(made: Made) -> None:
    content = made.graph.read_bytes()
    assert b"site-packages" not in content
    assert b"transforms.py" not in content
    assert b"computing.py" not in content
    model = onnx.load_from_string(content)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert any(node.op_type == "DFT" for node in model.graph.node)


def test_export_that_fails_in_its_process_is_said(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", shutil.which("false"))
    request = Request([], [], {}, 1.0, "some.onnx")
    with pytest.raises(ExportError, match=r"some\.onnx could not be exported: it said nothing"):
        export_run(request)
