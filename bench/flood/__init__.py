"""An in-kernel SYN generator that sends only inside namespaces of the bench's own."""
