"""What the kernel that answers says of itself: queues, counters, conntrack; all of it is only read."""
