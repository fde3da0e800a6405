"""What libvirt does by itself to stop guests."""
