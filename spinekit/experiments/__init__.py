"""What notebooks beyond the pipeline try out: trainings by the dozen, kept on disk one by one."""
