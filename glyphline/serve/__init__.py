"""`glyphline serve`: a page to draw on and a JSON API, both answered by exported networks through ONNX Runtime."""
