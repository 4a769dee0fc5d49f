"""From labels and images to one ONNX file: features, training, conversion, parity."""
