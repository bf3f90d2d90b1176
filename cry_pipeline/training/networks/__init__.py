"""Networks: one module each, ``forward(images, lengths) -> logits``. Not here: losses, data, training."""
