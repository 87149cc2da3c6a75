"""What people see of the metrics, and what wakes them."""
