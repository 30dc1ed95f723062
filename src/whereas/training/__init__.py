"""Training: the only place that imports torch, transformers and scikit-learn (extra `train`)."""
