"""What is there: the connections, the guests on them, what is known of these and what libvirt has said."""
