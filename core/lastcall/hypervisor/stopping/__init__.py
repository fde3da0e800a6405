"""What libvirt does by itself to stop guests, and what keeps it from saving one."""
