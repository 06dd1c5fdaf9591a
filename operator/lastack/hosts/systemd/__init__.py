"""Members that are systemd units, over D-Bus."""
