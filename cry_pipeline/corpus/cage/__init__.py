"""The cage: a decoder in C works on strangers' bytes in a process of its own that can do nothing else."""
