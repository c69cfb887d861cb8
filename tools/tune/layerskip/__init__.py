"""LayerSkip tuning of a small Llama by self-distillation (arXiv 2404.16710)."""
