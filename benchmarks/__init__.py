import sentiment  # noqa: F401  first, as it keeps ONNX Runtime from reporting its use
