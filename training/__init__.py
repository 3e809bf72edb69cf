"""Makes checkpoints: data sets, models, training, calibration, export."""
