"""Instructions that kernels execute on the host engine: ours beside the text of Helion's own walker."""
