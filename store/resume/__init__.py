"""What is kept of a video while it is being indexed, so that an interrupted run can resume."""
