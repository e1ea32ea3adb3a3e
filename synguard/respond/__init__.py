"""What is done about an alert: the pure policy, whom it must never touch, and the blocks in the kernel."""
