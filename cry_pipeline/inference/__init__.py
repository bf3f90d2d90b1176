"""Champion to predictions: exported bundles, their promotion, and prediction from a bundle alone.

What predicts (predict.py, bundle.py) needs onnxruntime and the corpus' own decoding, and imports neither torch,
Lightning nor Dagster; what makes a bundle (export.py, building.py) needs torch.
"""
