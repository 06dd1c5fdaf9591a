"""kernel/: the codec on synthetic bytes, everything else against the kernel of this machine."""
