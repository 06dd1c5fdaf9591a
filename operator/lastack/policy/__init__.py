"""What may be done: policies as frozen values, their reading and their checking. Pure."""
