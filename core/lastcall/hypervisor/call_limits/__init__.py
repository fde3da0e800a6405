"""How many calls one libvirt daemon is busy with: blocking ones never crowd out the others, nor take all workers."""
